use super::error::{AttributeFault, Malformed, MessageError, Subcode, Verdict, update_error};

/// How many faults of one message are reported; the strongest always decides. A message of 65,535
/// octets could hold twenty thousand.
const REPORTED: usize = 16;

/// Gathers the faults of one UPDATE (RFC 7606 section 3 h: the strongest verdict wins).
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<AttributeFault>,
    worst: Option<(Verdict, MessageError)>,
}

/// Which attribute a fault is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) code: u8,
    /// `None` where the code is unknown.
    pub(super) name: Option<&'static str>,
    /// What a NOTIFICATION about it carries: as a rule the attribute whole.
    pub(super) data: &'a [u8],
}

impl Faults {
    /// # Errors
    ///
    /// The verdict is a reset.
    #[cold]
    pub(super) fn add(
        &mut self,
        place: Place<'_>,
        verdict: Verdict,
        subcode: Subcode,
        what: &str,
    ) -> Result<(), MessageError> {
        let attribute = match place.name {
            Some(name) => name.to_owned(),
            None => format!("attribute {}", place.code),
        };
        let error = || {
            let data = place.data.get(..NOTIFIED).unwrap_or(place.data);
            MessageError::new(update_error(subcode, data), format!("UPDATE: {attribute}: {what}"))
        };
        if verdict == Verdict::SessionReset {
            return Err(error());
        }
        if self.worst.as_ref().is_none_or(|(worst, _)| *worst < verdict) {
            self.worst = Some((verdict, error()));
        }
        if self.list.len() < REPORTED {
            self.list.push(AttributeFault {
                code: place.code,
                attribute,
                what: what.to_owned(),
                verdict,
            });
        }
        Ok(())
    }

    /// A fault in an attribute's value; `usual` is what the attribute's descriptor says.
    #[cold]
    pub(super) fn add_malformed(
        &mut self,
        place: Place<'_>,
        usual: Verdict,
        malformed: &Malformed,
    ) -> Result<(), MessageError> {
        let verdict = malformed.verdict.unwrap_or(usual);
        self.add(place, verdict, malformed.subcode, &malformed.what)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.worst.is_none()
    }

    /// The strongest verdict and what is reported. Where the message announces nothing, faults
    /// beyond a discarded attribute end the session (RFC 7606 section 5.2).
    pub(super) fn settle(
        self,
        announces: bool,
    ) -> Result<(Verdict, Vec<AttributeFault>), MessageError> {
        match self.worst {
            Some((Verdict::TreatAsWithdraw, error)) if !announces => Err(MessageError {
                what: format!("{} (in a message without routes)", error.what),
                ..error
            }),
            Some((verdict, _)) => Ok((verdict, self.list)),
            None => Ok((Verdict::Keep, self.list)),
        }
    }
}

/// The most octets of an attribute that a NOTIFICATION repeats: room for it in any message.
const NOTIFIED: usize = super::frame::MAXIMUM - super::frame::HEADER - 2;
