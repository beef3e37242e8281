//! Conversations as short as the point they make.
