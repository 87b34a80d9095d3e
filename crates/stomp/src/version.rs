use std::fmt;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escapes, no heart-beats, subscriptions may go without an id.
    V1_0,
    /// STOMP 1.1.
    V1_1,
    /// STOMP 1.2.
    V1_2,
}

impl Version {
    /// All versions, the lowest first.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// As the headers `version` and `accept-version` write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The version of that name; blanks around it don't matter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// The highest version that is in an `accept-version` header, a list with commas, and in
    /// `ours`. A client without that header speaks 1.0. Names that nobody knows are passed over.
    #[must_use]
    pub fn highest_common(accept_version: Option<&str>, ours: &[Self]) -> Option<Self> {
        let theirs = accept_version.unwrap_or("1.0").split(',');
        theirs
            .filter_map(Self::parse)
            .filter(|version| ours.contains(version))
            .max()
    }

    /// Versions as `accept-version` and the `version` of a refusal list them.
    #[must_use]
    pub fn list(versions: &[Self]) -> String {
        let names: Vec<&str> = versions.iter().map(|version| version.as_str()).collect();
        names.join(",")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_counts() {
        let all = &Version::ALL;
        for (accept, ours, common) in [
            (None, &all[..], Some(Version::V1_0)),
            (Some("1.0,1.1,2.0"), all, Some(Version::V1_1)),
            (Some(" 1.2 , 1.1"), all, Some(Version::V1_2)),
            (Some("2.0"), all, None),
            (Some(""), all, None),
            (Some("1.0,1.2"), &all[..2], Some(Version::V1_0)),
            (None, &all[1..], None),
        ] {
            assert_eq!(Version::highest_common(accept, ours), common, "{accept:?}");
        }
        assert_eq!(Version::list(all), "1.0,1.1,1.2");
    }
}
