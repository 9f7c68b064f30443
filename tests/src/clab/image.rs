//! Which program of this machine stands for an image.

/// What a node of an image runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Our agent, and the pods that `PODS` names: the image that `deploy/Dockerfile` calls `lab`.
    Twill,
    /// FRR: the daemons that `/etc/frr/daemons` names, by `/etc/frr/frr.conf`.
    Frr,
    /// BIRD, by `/etc/bird.conf`.
    Bird,
    /// Nothing: a machine to ping from.
    Plain,
}

/// Images of a bare system; they run a shell, which waits.
const PLAIN: [&str; 6] = ["alpine", "busybox", "debian", "netshoot", "network-multitool", "ubuntu"];

impl Role {
    /// By the last word of an image's path, whatever registry and tag are around it; `None` where
    /// nobody can know.
    pub fn of_image(image: &str) -> Option<Role> {
        let path = image.split_once('@').map_or(image, |(path, _)| path);
        let last = path.rsplit('/').next().unwrap_or(path);
        let name = last.split_once(':').map_or(last, |(name, _)| name);
        match name {
            "twill-lab" => Some(Role::Twill),
            "frr" => Some(Role::Frr),
            "bird" => Some(Role::Bird),
            plain if PLAIN.contains(&plain) => Some(Role::Plain),
            _ => None,
        }
    }

    /// What an image of this role runs when nobody says otherwise; nothing for a plain one.
    pub(super) fn command(self) -> &'static [&'static str] {
        match self {
            Role::Twill => &["twill-node"],
            // As the image starts it: the daemons that the file names, and who watches them.
            Role::Frr => &["sh", "-c", FRR],
            Role::Bird => &["bird", "-f", "-c", "/etc/bird.conf"],
            Role::Plain => &[],
        }
    }

    /// What must be installed here for it; why it cannot be had.
    pub fn unavailable(self) -> Option<String> {
        match self {
            Role::Frr => crate::router::Frr::unavailable(),
            Role::Bird => crate::router::Bird::unavailable(),
            Role::Twill | Role::Plain => None,
        }
    }
}

const FRR: &str = "
mkdir -p /run/frr /var/log/frr /var/tmp/frr
chown frr:frr /run/frr /var/log/frr /var/tmp/frr
. /usr/lib/frr/frrcommon.sh
exec /usr/lib/frr/watchfrr $(daemon_list)
";

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn the_last_word_of_the_path_tells() {
        let cases = [
            ("quay.io/frrouting/frr:10.2.1", Some(Role::Frr)),
            ("frr", Some(Role::Frr)),
            ("ghcr.io/srl-labs/bird:2.13", Some(Role::Bird)),
            ("localhost:5000/twill-lab:0.1.0", Some(Role::Twill)),
            ("twill-lab@sha256:0123", Some(Role::Twill)),
            ("debian:trixie-slim", Some(Role::Plain)),
            ("frr/other:1", None),
            ("nginx", None),
        ];
        for (image, expected) in cases {
            assert_eq!(Role::of_image(image), expected, "{image}");
        }
    }
}
