//! Every request for a call, and what became of it. No clock and no IO: the edge says what happened, and when.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use super::form::Status;

/// Requests of all tenants whose second leg may still come: as many as the core matches.
const PENDING_MAX: usize = 1000;
const PENDING_OF_ONE_MAX: usize = 250;
/// Requests that are remembered; beyond them the one that ended first is forgotten.
const REMEMBERED_MAX: usize = 10_000;
/// After its end.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Whatever happens to it: the longest call there may be, and some room.
const LIFE_MAX: Duration = Duration::from_secs(5 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = OutboundState)]
pub enum State {
    /// The trunk's API is being asked.
    Asking,
    /// The trunk makes the call.
    Accepted,
    /// The trunk's API gave no answer that can be read: it may make the call.
    Unclear,
    /// The customer speaks with the bot.
    Connected,
    Ended,
    /// The trunk did not take it.
    Refused,
    /// The trunk took it, and nobody reached the bot in time.
    Expired,
}

impl State {
    fn is_pending(self) -> bool {
        matches!(self, State::Asking | State::Accepted | State::Unclear)
    }

    fn is_over(self) -> bool {
        matches!(self, State::Ended | State::Refused | State::Expired)
    }
}

/// A request for an outbound call.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = OutboundCall)]
pub struct View {
    pub id: String,
    pub tenant: String,
    pub trunk: String,
    /// The customer.
    pub to: String,
    /// Our number.
    pub from: String,
    pub state: State,
    pub created_at_ms: u64,
    /// The trunk's name of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_sid: Option<String>,
    /// Our name of it, once it is connected: `GET /v1/calls/{id}` while it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// What the trunk said last: `completed`, `busy`, `no-answer`, `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk_status: Option<String>,
    /// Why it was refused, is unclear, or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl View {
    pub fn new(tenant: &str, trunk: &str, to: &str, from: &str, created_at_ms: u64) -> Self {
        Self {
            id: format!("o{:016x}", rand::random::<u64>()),
            tenant: tenant.to_owned(),
            trunk: trunk.to_owned(),
            to: to.to_owned(),
            from: from.to_owned(),
            state: State::Asking,
            created_at_ms,
            call_sid: None,
            call: None,
            trunk_status: None,
            why: None,
        }
    }
}

/// What happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Accepted {
        call_sid: String,
    },
    Unclear(String),
    Refused(String),
    Connected {
        call: String,
    },
    Expired,
    CallEnded(String),
    /// The trunk called back.
    Told(Status),
}

#[derive(Debug)]
struct Entry {
    view: View,
    token: String,
    until: Instant,
}

#[derive(Debug, Default)]
pub struct Book {
    entries: HashMap<String, Entry>,
    /// From a callback's token to the request.
    tokens: HashMap<String, String>,
}

impl Book {
    /// False: there are as many as there may be.
    pub fn open(&mut self, view: View, token: String, now: Instant) -> bool {
        self.forget_until(now);
        let pending = |tenant: Option<&str>| {
            let of = |entry: &&Entry| tenant.is_none_or(|tenant| entry.view.tenant == tenant);
            self.entries.values().filter(of).filter(|entry| entry.view.state.is_pending()).count()
        };
        if pending(None) >= PENDING_MAX || pending(Some(&view.tenant)) >= PENDING_OF_ONE_MAX || !self.make_room() {
            return false;
        }
        self.tokens.insert(token.clone(), view.id.clone());
        self.entries.insert(view.id.clone(), Entry { token, until: now + LIFE_MAX, view });
        true
    }

    pub fn view(&self, id: &str, now: Instant) -> Option<View> {
        self.entries.get(id).filter(|entry| entry.until > now).map(|entry| entry.view.clone())
    }

    pub fn request_of(&self, token: &str, now: Instant) -> Option<String> {
        let id = self.tokens.get(token)?;
        self.entries.get(id).filter(|entry| entry.until > now).map(|entry| entry.view.id.clone())
    }

    /// What comes too late for the state that a request is in changes no state.
    pub fn change(&mut self, id: &str, change: Change, now: Instant) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let view = &mut entry.view;
        let (was, pending) = (view.state, view.state.is_pending());
        match change {
            Change::Accepted { call_sid } => {
                view.call_sid = Some(call_sid);
                if was == State::Asking {
                    view.state = State::Accepted;
                }
            }
            Change::Unclear(why) if was == State::Asking => (view.state, view.why) = (State::Unclear, Some(why)),
            Change::Refused(why) if pending => (view.state, view.why) = (State::Refused, Some(why)),
            Change::Connected { call } => (view.state, view.call, view.why) = (State::Connected, Some(call), None),
            Change::Expired if pending => {
                let why = "nobody reached the bot in time".to_owned();
                (view.state, view.why) = (State::Expired, Some(why));
            }
            Change::CallEnded(cause) => (view.state, view.why) = (State::Ended, Some(cause)),
            Change::Told(status) => {
                // A call that is connected ends by its BYE.
                if pending && status.is_final() {
                    let said = status.status.as_deref().unwrap_or("it is over");
                    (view.state, view.why) = (State::Ended, Some(format!("the trunk says: {said}")));
                }
                view.trunk_status = status.status.or(view.trunk_status.take());
            }
            Change::Unclear(_) | Change::Refused(_) | Change::Expired => {}
        }
        if view.state.is_over() && !was.is_over() {
            entry.until = now + REMEMBERED;
        }
    }

    fn forget_until(&mut self, now: Instant) {
        let tokens = &mut self.tokens;
        self.entries.retain(|_, entry| {
            let stays = entry.until > now;
            if !stays {
                tokens.remove(&entry.token);
            }
            stays
        });
    }

    fn make_room(&mut self) -> bool {
        if self.entries.len() < REMEMBERED_MAX {
            return true;
        }
        let over = self.entries.values().filter(|entry| entry.view.state.is_over());
        let Some(first) = over.min_by_key(|entry| entry.until).map(|entry| entry.view.id.clone()) else { return false };
        if let Some(entry) = self.entries.remove(&first) {
            self.tokens.remove(&entry.token);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(book: &mut Book, tenant: &str, token: &str, now: Instant) -> Option<String> {
        let view = View::new(tenant, "exotel", "+919999999999", "+918888888888", 1);
        let id = view.id.clone();
        book.open(view, token.to_owned(), now).then_some(id)
    }

    fn told(status: &str) -> Change {
        Change::Told(Status { status: Some(status.into()), event: None })
    }

    fn after(changes: &[Change]) -> (State, Option<String>, Option<String>) {
        let (mut book, now) = (Book::default(), Instant::now());
        let id = opened(&mut book, "acme", "t", now).unwrap();
        changes.iter().for_each(|change| book.change(&id, change.clone(), now));
        let view = book.view(&id, now).unwrap();
        (view.state, view.trunk_status, view.why)
    }

    #[test]
    fn a_request_goes_through_its_states_and_what_comes_late_changes_none() {
        let accepted = Change::Accepted { call_sid: "s".into() };
        let connected = Change::Connected { call: "c1".into() };
        let ended = Change::CallEnded("bye".into());
        let some = |text: &str| Some(text.to_owned());
        for (changes, state, trunk_status, why) in [
            (vec![], State::Asking, None, None),
            (vec![accepted.clone()], State::Accepted, None, None),
            (vec![connected.clone(), accepted.clone()], State::Connected, None, None),
            (vec![Change::Unclear("x".into())], State::Unclear, None, some("x")),
            (vec![Change::Unclear("x".into()), connected.clone()], State::Connected, None, None),
            (vec![connected.clone(), Change::Unclear("x".into())], State::Connected, None, None),
            (vec![connected.clone(), Change::Refused("x".into())], State::Connected, None, None),
            (vec![Change::Refused("x".into())], State::Refused, None, some("x")),
            (vec![accepted.clone(), Change::Expired], State::Expired, None, some("nobody reached the bot in time")),
            (vec![accepted.clone(), told("busy")], State::Ended, some("busy"), some("the trunk says: busy")),
            (vec![told("ringing")], State::Asking, some("ringing"), None),
            (vec![connected.clone(), told("completed")], State::Connected, some("completed"), None),
            (vec![connected.clone(), ended.clone(), Change::Expired], State::Ended, None, some("bye")),
            (vec![accepted, connected, ended, told("completed")], State::Ended, some("completed"), some("bye")),
        ] {
            assert_eq!(after(&changes), (state, trunk_status, why), "{changes:?}");
        }
    }

    #[test]
    fn a_request_is_remembered_ten_minutes_after_its_end_and_five_hours_at_most() {
        let (mut book, now) = (Book::default(), Instant::now());
        let ended = opened(&mut book, "acme", "t1", now).unwrap();
        let open = opened(&mut book, "acme", "t2", now).unwrap();
        book.change(&ended, Change::Expired, now);
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(book.view(&ended, later(599)).is_some() && book.request_of("t1", later(599)).is_some());
        assert!(book.view(&ended, later(600)).is_none() && book.request_of("t1", later(600)).is_none());
        assert!(book.view(&open, later(5 * 3600 - 1)).is_some());
        assert!(book.view(&open, later(5 * 3600)).is_none());
        opened(&mut book, "acme", "t3", later(5 * 3600)).unwrap();
        assert_eq!((book.entries.len(), book.tokens.len()), (1, 1), "what is forgotten holds nothing");
    }

    #[test]
    fn so_many_requests_of_a_tenant_and_of_all_are_pending_and_one_that_ends_makes_room() {
        let (mut book, now) = (Book::default(), Instant::now());
        let first = opened(&mut book, "t0", "0-0", now).unwrap();
        for n in 1..PENDING_OF_ONE_MAX {
            assert!(opened(&mut book, "t0", &format!("0-{n}"), now).is_some());
        }
        assert_eq!(opened(&mut book, "t0", "over", now), None);
        for tenant in 1..4 {
            for n in 0..PENDING_OF_ONE_MAX {
                assert!(opened(&mut book, &format!("t{tenant}"), &format!("{tenant}-{n}"), now).is_some());
            }
        }
        assert_eq!(opened(&mut book, "t9", "over", now), None);
        book.change(&first, Change::Refused("x".into()), now);
        assert!(opened(&mut book, "t9", "fits", now).is_some());
        assert_eq!(book.request_of("over", now), None);
    }

    #[test]
    fn beyond_so_many_the_request_that_ended_first_is_forgotten() {
        let (mut book, now) = (Book::default(), Instant::now());
        let mut ids = Vec::new();
        for n in 0..REMEMBERED_MAX {
            let id = opened(&mut book, "acme", &format!("t{n}"), now).unwrap();
            book.change(&id, Change::Expired, now + Duration::from_millis(n as u64));
            ids.push(id);
        }
        assert!(opened(&mut book, "acme", "one more", now).is_some());
        assert_eq!((book.entries.len(), book.tokens.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(book.view(&ids[0], now).is_none() && book.view(&ids[1], now).is_some());
    }
}
