//! To hand the caller over, to put them on hold, to press keys.

use super::Call;
use super::operation::{Operation, not_cancelled, unexpected};
use crate::outcome::ControlEvent;
use crate::outcome::control::Header;
use crate::{Error, Event, Happened, Outcome, imports};

impl Call {
    /// Hands the caller over to a `sip:`, `sips:` or `tel:` URI. After `Ok` the hangup follows; after an error the call goes on: its code
    /// is the SIP status that refused it, 408 if nothing was heard in time, or a code of `control.transfer`. It takes its course even if
    /// the future is dropped.
    pub async fn transfer(&self, target: &str, headers: &[Header]) -> Result<(), Error> {
        self.controlled(imports::transfer(target, headers)).await
    }

    /// Puts the caller on hold; what plays then is their music.
    pub async fn hold(&self) -> Result<(), Error> {
        self.controlled(imports::hold()).await
    }

    /// Takes the caller back from [`hold`](Call::hold).
    pub async fn take_back(&self) -> Result<(), Error> {
        self.controlled(imports::take_back()).await
    }

    /// Presses keys towards the caller; over when they have been sent.
    pub async fn press(&self, keys: &str) -> Result<(), Error> {
        let mut operation = Operation::new(self, imports::send_digits(keys)?, not_cancelled);
        while !matches!(operation.next().await, (_, Happened::Event(Event::DigitsSent(_)))) {}
        operation.finish();
        Ok(())
    }

    /// Headers of the 200, if that is still to be sent: names begin with `X-`.
    pub fn answer_headers(&self, headers: &[Header]) -> Result<(), Error> {
        imports::answer_headers(headers)
    }

    /// Headers of the BYE.
    pub fn bye_headers(&self, headers: &[Header]) -> Result<(), Error> {
        imports::bye_headers(headers)
    }

    /// Ends the call, or refuses it while it rings, with a SIP status of 400 to 699 and a Reason header.
    pub fn hangup_with(&self, status: u16, reason: &str, after_playout: bool) -> Result<(), Error> {
        imports::hangup_with(status, reason, after_playout)
    }

    async fn controlled(&self, begun: Result<u64, Error>) -> Result<(), Error> {
        let mut operation = Operation::new(self, begun?, not_cancelled);
        let result = loop {
            match operation.next_outcome().await {
                Outcome::Control(_, ControlEvent::Progress(_)) => {}
                Outcome::Control(_, ControlEvent::Done) => break Ok(()),
                Outcome::Control(_, ControlEvent::Failed(failed)) => {
                    break Err(Error { code: failed.status.to_string(), message: failed.reason });
                }
                _ => break Err(unexpected()),
            }
        };
        operation.finish();
        result
    }
}
