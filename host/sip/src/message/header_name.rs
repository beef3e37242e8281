//! The header names that this crate knows. Source: RFC 3261 7.3.3 and 20 (compact forms), and the RFC of each.

macro_rules! header_names {
    ($($variant:ident $text:literal $($compact:literal)?),* $(,)?) => {
        /// A header this crate knows by name; any other is kept as sent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum HeaderName {
            $($variant,)*
        }

        impl HeaderName {
            const TABLE: &[(HeaderName, &'static str, Option<u8>)] =
                &[$((HeaderName::$variant, $text, header_names!(@compact $($compact)?))),*];

            /// The long form, as we write it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(HeaderName::$variant => $text,)*
                }
            }
        }
    };
    (@compact) => { None };
    (@compact $compact:literal) => { Some($compact) };
}

header_names! {
    Accept "Accept",
    AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language",
    AllowEvents "Allow-Events" b'u',
    Allow "Allow",
    Authorization "Authorization",
    CallId "Call-ID" b'i',
    Contact "Contact" b'm',
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding" b'e',
    ContentLength "Content-Length" b'l',
    ContentType "Content-Type" b'c',
    CSeq "CSeq",
    Date "Date",
    Diversion "Diversion",
    Event "Event" b'o',
    Expires "Expires",
    From "From" b'f',
    HistoryInfo "History-Info",
    Identity "Identity" b'y',
    MaxForwards "Max-Forwards",
    MinExpires "Min-Expires",
    MinSe "Min-SE",
    PAssertedIdentity "P-Asserted-Identity",
    PEarlyMedia "P-Early-Media",
    PPreferredIdentity "P-Preferred-Identity",
    Privacy "Privacy",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization",
    ProxyRequire "Proxy-Require",
    RAck "RAck",
    RSeq "RSeq",
    Reason "Reason",
    RecordRoute "Record-Route",
    ReferTo "Refer-To" b'r',
    ReferredBy "Referred-By" b'b',
    RejectContact "Reject-Contact" b'j',
    Replaces "Replaces",
    RequestDisposition "Request-Disposition" b'd',
    Require "Require",
    RetryAfter "Retry-After",
    Route "Route",
    Server "Server",
    SessionExpires "Session-Expires" b'x',
    Subject "Subject" b's',
    SubscriptionState "Subscription-State",
    Supported "Supported" b'k',
    Timestamp "Timestamp",
    To "To" b't',
    Unsupported "Unsupported",
    UserAgent "User-Agent",
    Via "Via" b'v',
    Warning "Warning",
    WwwAuthenticate "WWW-Authenticate",
}

impl HeaderName {
    /// Long or compact, in any case.
    pub fn from_bytes(name: &[u8]) -> Option<HeaderName> {
        if let [letter] = name {
            let letter = letter.to_ascii_lowercase();
            return Self::TABLE.iter().find(|(_, _, compact)| *compact == Some(letter)).map(|row| row.0);
        }
        Self::TABLE
            .iter()
            .find(|(_, text, _)| text.len() == name.len() && text.as_bytes().eq_ignore_ascii_case(name))
            .map(|row| row.0)
    }
}
