//! The server that a case runs against: settings and handler of the engine.
//!
//! Invariant: whatever the setup, the path of the bystander is an echo, and its calls are not recorded.

use std::sync::{Arc, Mutex};

use gannet::{
    CloseCode, Closed, Compression, Config, Context, Handler, Listener, Message, MessageKind, Origins,
    RatePolicy, Request, Upgrade,
};

/// The path of the connection that must not notice what happens on the other.
pub(crate) const BYSTANDER_PATH: &str = "/bystander";
/// The largest message of [`Setup::SmallMessages`].
pub(crate) const SMALL_MESSAGE_BYTES_MAX: usize = 1024;
/// The only path of [`Setup::OnePath`].
pub(crate) const ONLY_PATH: &str = "/chat";

/// What a case needs of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// An echo with the default settings.
    Echo,
    /// The same, for cases about limits and choices that are ours: another server may have others.
    OurLimits,
    /// Messages of at most [`SMALL_MESSAGE_BYTES_MAX`].
    SmallMessages,
    /// Every message is compressed on its own.
    Compressed,
    /// The same, with messages of at most [`SMALL_MESSAGE_BYTES_MAX`].
    SmallCompressed,
    /// Messages are compressed with windows of 12 bits.
    CompressedWindows,
    /// The deadline of the opening handshake is 200 ms.
    ShortHandshake,
    /// The deadline of a message is 200 ms.
    ShortMessages,
    /// At most 10 messages per second.
    FewMessages,
    /// An echo for text; binary is answered with Close 1003.
    TextOnly,
    /// The reverse.
    BinaryOnly,
    /// Every message is answered with Close 4000.
    Closes,
    /// Every message makes the handler panic.
    Panics,
    /// Speaks `v2.chat` and `v1.chat`, preferred in that order; `/strict` wants one of them.
    Subprotocols,
    /// Allows pages of `https://app.example` and `http://localhost:8080`, and nothing without an Origin.
    Origins,
    /// The same, and programs without an Origin.
    OriginsOrNone,
    /// Knows the path [`ONLY_PATH`] alone.
    OnePath,
}

impl Setup {
    pub(crate) fn config(self) -> Config {
        let mut config = Config::default();
        config.listeners = vec![Listener::tcp(([127, 0, 0, 1], 0).into())];
        config.shards = Some(1);
        match self {
            Self::SmallMessages => config.message_bytes_max = SMALL_MESSAGE_BYTES_MAX,
            Self::ShortMessages => config.message_timeout_ms = 200,
            Self::FewMessages => {
                config.messages_per_s_max = Some(10);
                config.rate_policy = RatePolicy::Close;
            }
            Self::Compressed => config.compression = Compression::Shared,
            Self::SmallCompressed => {
                config.compression = Compression::Shared;
                config.message_bytes_max = SMALL_MESSAGE_BYTES_MAX;
            }
            Self::CompressedWindows => config.compression = Compression::Dedicated,
            Self::ShortHandshake => config.handshake_timeout_ms = 200,
            _ => {}
        }
        config
    }
}

/// The calls for the connection of a case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) opened: usize,
    pub(crate) messages: usize,
    /// Code and cleanness of each `on_close`.
    pub(crate) closed: Vec<(u16, bool)>,
}

/// The handler.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) setup: Setup,
    pub(crate) record: Arc<Mutex<Record>>,
    pub(crate) origins: Origins,
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Case,
    Bystander,
}

impl App {
    pub(crate) fn new(setup: Setup, record: Arc<Mutex<Record>>) -> Self {
        let origins = Origins::new(["https://app.example", "http://localhost:8080"]).unwrap();
        let origins = if setup == Setup::OriginsOrNone { origins.with_missing_allowed() } else { origins };
        Self { setup, record, origins }
    }

    fn note(&self, who: Who, note: impl FnOnce(&mut Record)) {
        if who == Who::Case {
            note(&mut self.record.lock().unwrap());
        }
    }
}

impl Handler for App {
    type State = Who;

    fn on_upgrade(&mut self, request: &Request<'_>) -> Upgrade<Who> {
        if request.path() == BYSTANDER_PATH {
            return Upgrade::accept(Who::Bystander);
        }
        match self.setup {
            Setup::OnePath if request.path() != ONLY_PATH => return Upgrade::reject(404),
            Setup::Origins | Setup::OriginsOrNone if !self.origins.allow(request) => {
                return Upgrade::reject(403);
            }
            Setup::Subprotocols => match request.choose_subprotocol(&["v2.chat", "v1.chat"]) {
                Some(chosen) => return Upgrade::accept(Who::Case).with_subprotocol(chosen),
                None if request.path() == "/strict" => return Upgrade::reject(400),
                None => {}
            },
            _ => {}
        }
        Upgrade::accept(Who::Case)
    }

    fn on_open(&mut self, _context: &mut Context<'_>, who: &mut Who) {
        self.note(*who, |record| record.opened += 1);
    }

    fn on_message(&mut self, context: &mut Context<'_>, who: &mut Who, message: Message<'_>) {
        self.note(*who, |record| record.messages += 1);
        let refused = match (self.setup, message.kind()) {
            _ if *who == Who::Bystander => None,
            (Setup::TextOnly, MessageKind::Binary) => Some((CloseCode::UNSUPPORTED_DATA, "text only")),
            (Setup::BinaryOnly, MessageKind::Text) => Some((CloseCode::UNSUPPORTED_DATA, "binary only")),
            (Setup::Closes, _) => Some((CloseCode::new(4000), "as told")),
            // Unlike `panic!` it prints nothing.
            (Setup::Panics, _) => std::panic::resume_unwind(Box::new("as the test wants it")),
            _ => None,
        };
        match refused {
            Some((code, reason)) => context.close(code, reason).unwrap(),
            None => context.reply(message).unwrap(),
        }
    }

    fn on_close(&mut self, who: Who, closed: &Closed<'_>) {
        self.note(who, |record| record.closed.push((closed.code.into(), closed.was_clean)));
    }
}
