//! The trunk's own INVITE, in both spellings: Record-Route bracketed or not, its transport matching or not, s= there or not.

use call::{BotAct, Verdict};
use sip::Transport;

use crate::raw::{self, Caller, header};
use crate::world::*;

fn plays(record_route: &str, sdp: &str, name: &str) {
    let mut world = World::new(Transport::Tcp);
    let mut caller = Caller::invite(&mut world, &raw::invite(record_route, sdp, ""));
    assert_eq!(header(&caller.accepted, "Record-Route"), record_route, "copied byte for byte");
    caller.acknowledge(&mut world);
    world.run_ms(2000);
    world.bot_acts(BotAct::Hangup);
    let bye = caller.receive(&mut world, "BYE");
    // Over the connection that the call came by, though the route says TLS; the route set stands in the request.
    assert!(bye.starts_with("BYE sip:+918888888888@203.0.113.7:5060;transport=tls SIP/2.0\r\n"), "{bye}");
    assert_eq!(header(&bye, "Route"), format!("<{}>", record_route.trim_matches(['<', '>'])));
    caller.respond(&mut world, &bye, "200 OK", "");
    world.finish(name);
    let summary = &world.summaries[0];
    assert_eq!(summary.identity, Verdict::Asserted);
    assert_eq!(summary.extra_headers, [("X-Exotel-CallSid".to_owned(), "c1".to_owned())]);
    assert!(summary.from.starts_with("\"+918888888888\" <sip:+918888888888@"));
    assert_eq!(summary.called, "+911234567890");
}

#[test]
fn the_trunks_invite_as_its_guide_prints_it() {
    plays("sip:192.0.2.9:443;transport=tls;lr", &OFFER.replace("s=-\r\n", ""), "trunk-as-printed");
}

#[test]
fn the_trunks_invite_by_the_book() {
    plays("<sip:192.0.2.9:443;transport=tcp;lr>", OFFER, "trunk-by-the-book");
}

#[test]
fn the_trunks_invite_with_srtp() {
    let crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    let sdp = OFFER.replace("RTP/AVP", "RTP/SAVP").replace("s=-\r\n", "") + "a=rtcp:37457\r\na=ptime:20\r\n" + crypto;
    plays("sip:192.0.2.9:443;transport=tls;lr", &sdp, "trunk-srtp");
}
