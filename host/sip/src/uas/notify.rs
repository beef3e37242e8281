//! NOTIFY: what came of our REFER. Source: RFC 3515 2.4.4 to 2.4.7, RFC 6665 4.1.3.

use std::time::{Duration, Instant};

use crate::dialog::Dialog;
use crate::door::{DialogId, Event};
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::endpoint::{Endpoint, Owner};
use crate::message::{HeaderName, Request, reason_phrase};
use crate::params::{Params, parse_digits, trim};
use crate::refer::Refer;
use crate::sipfrag::Sipfrag;
use crate::timers::Timer;
use crate::uac::REFER_SILENCE;

const BODY: &str = "message/sipfrag";
/// How often progress is told of one REFER.
const MAX_TOLD: u8 = 16;

impl Endpoint {
    /// 481 without a REFER of ours, 489 for another event, 415 for another body, else 200.
    pub(super) fn serve_notify(&mut self, id: TransactionId, dialog_id: DialogId, request: &Request, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&dialog_id) else {
            return;
        };
        let tag = dialog.local_tag.clone();
        if let Some(answer) = refusal(dialog, request) {
            return self.respond(id, answer.tagged(&tag), now);
        }
        let Some(refer) = &mut dialog.refer else { return };
        refer.heard = true;
        let fragment = Sipfrag::read(request.body());
        let state = State::read(request);
        let wait_until = match state {
            State::Lives { expires } => {
                (now + expires.map_or(refer.until - now, |time| time.max(REFER_SILENCE))).min(refer.until)
            }
            State::Over => now,
        };
        let progress =
            fragment.as_ref().filter(|fragment| fragment.status < 200).filter(|fragment| news(refer, fragment));
        let progress = progress.map(|fragment| Event::ReferProgress {
            dialog: dialog_id,
            status: fragment.status,
            phrase: fragment.phrase.clone(),
        });
        self.respond(id, Answer::new(200).tagged(&tag), now);
        match (fragment, state) {
            (Some(last), _) if last.status >= 200 => self.refer_ended(dialog_id, last.status, &last.phrase),
            // It ends without saying what came of it.
            (_, State::Over) => self.refer_ended(dialog_id, 408, &reason_phrase(408)),
            (_, State::Lives { .. }) => {
                self.deadlines.start(Owner::Dialog(dialog_id), Timer::Refer, wait_until);
                if let Some(event) = progress {
                    self.tell(event);
                }
            }
        }
    }
}

/// What the subscription comes to. One that is not named lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Lives { expires: Option<Duration> },
    Over,
}

impl State {
    fn read(request: &Request) -> State {
        let value = request.headers().get(HeaderName::SubscriptionState).unwrap_or_default();
        let (name, params) = split(value);
        if name.eq_ignore_ascii_case(b"terminated") {
            return State::Over;
        }
        let expires = params.get("expires").and_then(parse_digits::<u32>);
        State::Lives { expires: expires.map(|seconds| Duration::from_secs(u64::from(seconds))) }
    }
}

/// The value before its parameters, and they.
fn split(value: &[u8]) -> (&[u8], Params<'_>) {
    let end = value.iter().position(|&b| b == b';').unwrap_or(value.len());
    (trim(&value[..end]), Params::new(&value[end..]))
}

/// Why a NOTIFY is not taken. Its `id`, where there is one, is the CSeq of our REFER (RFC 3515 2.4.6).
fn refusal(dialog: &Dialog, request: &Request) -> Option<Answer> {
    let (package, params) = split(request.headers().get(HeaderName::Event).unwrap_or_default());
    if !package.eq_ignore_ascii_case(b"refer") {
        return Some(Answer::new(489).with(HeaderName::AllowEvents, "refer"));
    }
    let sent = dialog.refer.as_ref().and_then(|refer| refer.cseq);
    let meant = params.get("id").map(parse_digits::<u32>);
    if sent.is_none() || meant.is_some_and(|id| id != sent) {
        return Some(Answer::new(481));
    }
    let foreign = !request.body().is_empty() && request.content_type().as_deref() != Some(BODY);
    foreign.then(|| Answer::new(415).with(HeaderName::Accept, BODY))
}

/// Whether that is worth telling: another status than before, and not too often.
fn news(refer: &mut Refer, fragment: &Sipfrag) -> bool {
    let (status, times) = refer.told;
    let told = fragment.status != status && times < MAX_TOLD;
    if told {
        refer.told = (fragment.status, times + 1);
    }
    told
}
