//! Echo: text and binary come back as they came, on every path; `/` is the page.

use gannet::{Context, Handler, HttpResponse, Message, Request, Upgrade};

use crate::page;

/// The echo application; it keeps no state.
#[derive(Debug)]
pub(crate) struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_upgrade(&mut self, _request: &Request<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_http(&mut self, request: &Request<'_>) -> HttpResponse {
        page::respond(request).unwrap_or_else(HttpResponse::upgrade_required)
    }

    fn on_message(&mut self, context: &mut Context<'_>, _state: &mut (), message: Message<'_>) {
        if let Err(error) = context.reply(message) {
            tracing::debug!(%error, "an echo was not sent");
        }
    }
}
