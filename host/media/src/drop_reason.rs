//! Why a packet from outside went no further. Each reason is a counter; none is an error of ours.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            pub const ALL: &[DropReason] = &[$(DropReason::$name,)*];

            /// The metric's label: stable, lower case.
            pub fn label(self) -> &'static str {
                match self { $(DropReason::$name => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// Not an RTP packet of RFC 3550 5.1: version, lengths of CSRC list, extension or padding.
    BadRtpHeader => "bad_rtp_header",
    /// Not a compound of RTCP packets, RFC 3550 A.2.
    BadRtcp => "bad_rtcp",
    /// A G.711 payload that is empty or longer than 100 ms.
    BadPayloadLength => "bad_payload_length",
    /// From outside the trunk's media networks.
    ForeignNetwork => "foreign_network",
    /// Acceptable in itself, but another source is the settled one, or is ahead in being learnt.
    OtherSource => "other_source",
    /// A payload type that was not negotiated.
    UnknownPayloadType => "unknown_payload_type",
    ComfortNoise => "comfort_noise",
    /// SRTP authentication failed, or the packet is too short to carry a tag.
    Unauthenticated => "unauthenticated",
    /// SRTP: this packet index was seen before, or is older than the replay window.
    Replayed => "replayed",
    /// SRTCP whose E bit is clear: not encrypted, though we negotiated encryption.
    NotEncrypted => "not_encrypted",
    /// More SSRCs than one leg may have.
    TooManySsrcs => "too_many_ssrcs",
    /// First packet of a new SSRC or of a jump; the second one confirms it.
    Unconfirmed => "unconfirmed",
    /// The same sequence number again.
    Duplicate => "duplicate",
    /// After its playout time.
    Late => "late",
    /// More sound ahead than the jitter buffer holds.
    Overflow => "overflow",
    /// telephone-event: too short, or not one of the events 0-15.
    BadTelephoneEvent => "bad_telephone_event",
}

/// One count for each [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    pub(crate) fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.get(reason)))
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}
