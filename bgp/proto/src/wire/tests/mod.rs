//! What holds for the codec as a whole: bytes that are wrong and what they are answered with
//! (`faults`), values that survive the way out and back (`round_trip`), arbitrary bytes
//! (`arbitrary`), the very octets that we send (`sent`), what another parser
//! makes of them (`second_reader`), what AS4_PATH restores (`as4`), and
//! NOTIFICATIONs in words (`notifications`).

mod arbitrary;
mod as4;
mod faults;
mod notation;
mod notifications;
mod round_trip;
mod second_reader;
mod sent;
mod strategy;
