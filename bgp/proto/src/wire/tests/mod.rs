//! What holds for the codec as a whole.

mod round_trip;
