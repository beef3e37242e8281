//! Session timers: who refreshes the session, and when it is given up. Source: RFC 4028.
//!
//! We never ask for one; we do our part when the peer asks.

use std::time::Duration;

use crate::message::{Refresher as Role, SessionExpires};

/// The smallest interval we accept, in seconds. Source: RFC 4028 4.
pub const MIN_SE_S: u32 = 90;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Us,
    Peer,
}

/// An agreed session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    pub interval_s: u32,
    pub refresher: Refresher,
    /// The peer knows session timers, so that our 200 may require them. RFC 4028 9.
    pub peer_supports: bool,
}

/// What a request's headers mean for us as its UAS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// No session timer.
    Nothing,
    /// 422 with our Min-SE. RFC 4028 9.
    TooSmall,
    Timer(SessionTimer),
}

/// Reads the wish of a request. `peer_supports`: its Supported lists `timer`. Source: RFC 4028 9, table 2.
pub fn asked_by(session_expires: Option<&SessionExpires>, peer_supports: bool) -> Asked {
    let Some(asked) = session_expires else {
        return Asked::Nothing;
    };
    if asked.seconds < MIN_SE_S && peer_supports {
        return Asked::TooSmall;
    }
    let refresher = match asked.refresher {
        _ if !peer_supports => Refresher::Us,
        Some(Role::Uas) => Refresher::Us,
        Some(Role::Uac) | None => Refresher::Peer,
    };
    // A proxy asked too little on behalf of a peer that knows nothing of 422: our own minimum stands. RFC 4028 9.
    Asked::Timer(SessionTimer { interval_s: asked.seconds.max(MIN_SE_S), refresher, peer_supports })
}

/// Reads the answer to a request of ours. Source: RFC 4028 7.2.
pub fn agreed_by(session_expires: Option<&SessionExpires>) -> Option<SessionTimer> {
    let agreed = session_expires?;
    let refresher = if agreed.refresher == Some(Role::Uas) { Refresher::Peer } else { Refresher::Us };
    Some(SessionTimer { interval_s: agreed.seconds.max(MIN_SE_S), refresher, peer_supports: true })
}

impl SessionTimer {
    /// The Session-Expires value of our response. Source: RFC 4028 9.
    pub fn in_response(self) -> String {
        format!("{};refresher={}", self.interval_s, if self.refresher == Refresher::Peer { "uac" } else { "uas" })
    }

    /// The Session-Expires value of a request of ours. Source: RFC 4028 7.4.
    pub fn in_request(self) -> String {
        format!("{};refresher={}", self.interval_s, if self.refresher == Refresher::Us { "uac" } else { "uas" })
    }

    /// When we refresh, if that is ours to do. Source: RFC 4028 7.2.
    pub fn refresh_after(self) -> Option<Duration> {
        (self.refresher == Refresher::Us).then(|| Duration::from_secs(u64::from(self.interval_s) / 2))
    }

    /// When we give the session up. Source: RFC 4028 10.
    pub fn expire_after(self) -> Duration {
        Duration::from_secs(u64::from(self.interval_s - (self.interval_s / 3).min(32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_2_of_rfc_4028_decides_who_refreshes() {
        let asked = |value: &str, supports| asked_by(SessionExpires::parse(value.as_bytes()).as_ref(), supports);
        let timer =
            |refresher, peer_supports| Asked::Timer(SessionTimer { interval_s: 1800, refresher, peer_supports });
        assert_eq!(asked("1800;refresher=uac", true), timer(Refresher::Peer, true));
        assert_eq!(asked("1800 ; Refresher = UAS", true), timer(Refresher::Us, true));
        assert_eq!(asked("1800", true), timer(Refresher::Peer, true));
        assert_eq!(asked("1800", false), timer(Refresher::Us, false));
        assert_eq!(asked("89", true), Asked::TooSmall);
        assert_eq!(asked("soon", true), Asked::Nothing);
        assert_eq!(asked_by(None, true), Asked::Nothing);
    }

    #[test]
    fn a_session_is_given_up_32_seconds_or_a_third_before_its_end() {
        let after = |interval_s| {
            SessionTimer { interval_s, refresher: Refresher::Peer, peer_supports: true }.expire_after().as_secs()
        };
        assert_eq!((after(1800), after(90)), (1768, 60));
    }
}
