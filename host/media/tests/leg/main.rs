//! A leg against a scripted caller, in virtual time.

mod caller;
mod digits_in;
mod digits_out;
mod held_up;
mod hostile;
mod network;
mod renegotiation;
mod reports;
mod sending;
mod sound;
mod source;
mod srtp;
