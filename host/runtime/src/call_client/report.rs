//! What `patchbay call` tells of its call.

use serde::Serialize;

/// How the call went. Absent where it did not come to that.
#[derive(Debug, Default, Serialize)]
pub struct CallReport {
    /// The final answer to the INVITE; 408 if nothing answered, 503 if no way was found.
    pub status: u16,
    pub phrase: String,
    /// From INVITE to 200.
    pub setup_ms: Option<f64>,
    pub codec: Option<&'static str>,
    pub srtp: bool,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    /// The keys themselves.
    pub digits_sent: String,
    pub digits_received: String,
    /// `caller` is us, `callee` the other side; `failure` if the call was refused or broke.
    pub ended_by: &'static str,
    /// From 200 to the end.
    pub seconds: f64,
    pub recording: Option<String>,
}

impl CallReport {
    /// For people a few lines, for programs one JSON object.
    pub fn shown(&self, json: bool) -> String {
        if json {
            return serde_json::to_string(self).unwrap_or_default();
        }
        let sound = match self.codec {
            Some(codec) => format!(", {codec}{}", if self.srtp { " over SRTP" } else { "" }),
            None => String::new(),
        };
        let setup = self.setup_ms.map_or(String::new(), |ms| format!(" after {ms} ms"));
        let mut text = format!("{} {}{setup}{sound}", self.status, self.phrase);
        if self.codec.is_some() {
            text += &format!(
                "\n{} s, ended by {}; RTP packets: {} sent, {} received, {} lost; digits sent {:?}, received {:?}",
                self.seconds,
                self.ended_by,
                self.packets_sent,
                self.packets_received,
                self.packets_lost,
                self.digits_sent,
                self.digits_received
            );
        }
        if let Some(recording) = &self.recording {
            text += &format!("\nrecording: {recording}");
        }
        text
    }

    /// Answered, and ended by somebody.
    pub fn went_well(&self) -> bool {
        self.status == 200 && self.ended_by != "failure"
    }
}
