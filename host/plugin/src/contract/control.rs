//! `control` and `control-handler`.

use super::Header;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRequest {
    /// `target`: a `sip:`, `sips:` or `tel:` URI without spaces and control characters; nothing more is known of it.
    Transfer {
        target: String,
        headers: Vec<Header>,
    },
    Hold,
    Resume,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlEvent {
    Progress { status: u16, reason: String },
    Done,
    Failed { status: u16, reason: String },
}

impl ControlRequest {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Transfer { target, headers } => target.len() + super::bytes_of_headers(headers),
            Self::Hold | Self::Resume => 0,
        }
    }
}

impl ControlEvent {
    pub(super) fn is_end(&self) -> bool {
        !matches!(self, Self::Progress { .. })
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Progress { reason, .. } | Self::Failed { reason, .. } => reason.len(),
            Self::Done => 0,
        }
    }
}
