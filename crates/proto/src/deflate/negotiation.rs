//! The parameters of permessage-deflate in the opening handshake (RFC 7692 §5 and §7.1). Invariant: an offer that breaks
//! a rule is declined and never an error of the handshake; a response that breaks one is.

use std::fmt::{self, Display};

use super::{Direction, PerMessageDeflate, WindowBits};
use crate::handshake::{ClientHandshakeError, Extension, Request};

/// The name of the extension.
const NAME: &str = "permessage-deflate";

/// One element of an offer or a response, as far as RFC 7692 §7.1 allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// In an offer it may stand without a value.
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl Parameters {
    /// Nothing for an unknown parameter, a repeated one, or a value that is missing, not wanted or out of range.
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut read = Self::default();
        for parameter in &extension.parameters {
            let is_new = match (parameter.name, parameter.value.as_deref()) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut read.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut read.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(bits)) => {
                    read.server_max_window_bits.replace(window_bits(bits)?).is_none()
                }
                ("client_max_window_bits", bits) => {
                    let bits = bits.map_or(Some(None), |bits| window_bits(bits).map(Some))?;
                    read.client_max_window_bits.replace(bits).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(read)
    }
}

/// RFC 7692 §7.1.2: a decimal integer of 8 to 15 without leading zeros.
fn window_bits(value: &str) -> Option<WindowBits> {
    let is_canonical = !value.starts_with(['0', '+']);
    value.parse().ok().filter(|_| is_canonical).and_then(WindowBits::new)
}

/// What a server agreed to, and as what it says so in its response; [`Display`] writes the header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    deflate: PerMessageDeflate,
    /// RFC 7692 §7.1.2.1: an offer with `server_max_window_bits` is accepted by naming it.
    names_server_window: bool,
}

impl Agreement {
    /// Chooses the first of the client's offers that can be accepted, in its order of preference (RFC 7692 §5): context
    /// takeover and windows as in `ready` or less, never more. Nothing if there is none; the connection then opens without
    /// compression.
    #[must_use]
    pub fn choose(request: &Request<'_>, ready: &PerMessageDeflate) -> Option<Self> {
        let lists = request.extension_lists().flatten();
        let mut offers =
            lists.filter(|extension| extension.name == NAME).filter_map(|offer| Parameters::read(&offer));
        offers.next().map(|offer| Self::accept(&offer, ready))
    }

    fn accept(offer: &Parameters, ready: &PerMessageDeflate) -> Self {
        let PerMessageDeflate { server, client } = *ready;
        let server = Direction {
            context_takeover: server.context_takeover && !offer.server_no_context_takeover,
            window_bits: offer
                .server_max_window_bits
                .map_or(server.window_bits, |bits| bits.min(server.window_bits)),
        };
        let client = Direction {
            context_takeover: client.context_takeover && !offer.client_no_context_takeover,
            // RFC 7692 §7.1.2.2: a client that does not offer the parameter may not be given it.
            window_bits: match offer.client_max_window_bits {
                None => WindowBits::MAX,
                Some(bits) => bits.unwrap_or(WindowBits::MAX).min(client.window_bits),
            },
        };
        let deflate = PerMessageDeflate { server, client };
        Self { deflate, names_server_window: offer.server_max_window_bits.is_some() }
    }

    /// What was agreed.
    #[must_use]
    pub const fn deflate(&self) -> PerMessageDeflate {
        self.deflate
    }
}

impl Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PerMessageDeflate { server, client } = self.deflate;
        write_takeover(f, &self.deflate)?;
        if self.names_server_window || server.window_bits < WindowBits::MAX {
            write!(f, "; server_max_window_bits={}", server.window_bits.get())?;
        }
        if client.window_bits < WindowBits::MAX {
            write!(f, "; client_max_window_bits={}", client.window_bits.get())?;
        }
        Ok(())
    }
}

/// What a client offers; [`Display`] writes the header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer(pub PerMessageDeflate);

impl Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PerMessageDeflate { server, client } = self.0;
        write_takeover(f, &self.0)?;
        if server.window_bits < WindowBits::MAX {
            write!(f, "; server_max_window_bits={}", server.window_bits.get())?;
        }
        // RFC 7692 §7.1.2.2: it tells the server that it may choose; a value is the most that the client will use.
        match client.window_bits {
            WindowBits::MAX => f.write_str("; client_max_window_bits"),
            bits => write!(f, "; client_max_window_bits={}", bits.get()),
        }
    }
}

impl Offer {
    /// What the server agreed to, from the lists of its response: nothing if it names no extension.
    pub(crate) fn read_response(
        self,
        lists: &[Option<Vec<Extension<'_>>>],
    ) -> Result<Option<PerMessageDeflate>, ClientHandshakeError> {
        let mut extensions = Vec::new();
        for list in lists {
            extensions.extend(list.as_ref().ok_or(ClientHandshakeError::UnexpectedExtension)?);
        }
        match extensions[..] {
            [] => Ok(None),
            [extension] if extension.name == NAME => {
                let response = Parameters::read(extension).ok_or(ClientHandshakeError::InvalidExtension)?;
                self.confirm(&response).map(Some).ok_or(ClientHandshakeError::InvalidExtension)
            }
            _ => Err(ClientHandshakeError::UnexpectedExtension),
        }
    }

    /// RFC 7692 §7.1: a response may restrict what was offered, never widen it.
    fn confirm(self, response: &Parameters) -> Option<PerMessageDeflate> {
        let PerMessageDeflate { server, client } = self.0;
        let server_bits = response.server_max_window_bits.unwrap_or(WindowBits::MAX);
        if server_bits > server.window_bits
            || (!server.context_takeover && !response.server_no_context_takeover)
        {
            return None;
        }
        let client_bits = match response.client_max_window_bits {
            None => client.window_bits,
            // RFC 7692 §7.1.2.2: in a response the parameter has a value.
            Some(bits) => bits.filter(|&bits| bits <= client.window_bits)?,
        };
        Some(PerMessageDeflate {
            server: Direction {
                context_takeover: !response.server_no_context_takeover,
                window_bits: server_bits,
            },
            client: Direction {
                context_takeover: client.context_takeover && !response.client_no_context_takeover,
                window_bits: client_bits,
            },
        })
    }
}

fn write_takeover(f: &mut fmt::Formatter<'_>, deflate: &PerMessageDeflate) -> fmt::Result {
    f.write_str(NAME)?;
    if !deflate.server.context_takeover {
        f.write_str("; server_no_context_takeover")?;
    }
    if !deflate.client.context_takeover {
        f.write_str("; client_no_context_takeover")?;
    }
    Ok(())
}
