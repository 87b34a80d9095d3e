use bytes::Bytes;
use trunkline_model::{ChannelMessage, ENCODINGS_MAX};
use trunkline_stomp::Version;

/// A form in which many listeners are sent a channel message alike. It is encoded once, by whoever
/// comes first, and kept with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Members of an `rpc.channel.message`.
    JsonRpc,
    /// The tail of a MESSAGE.
    Stomp(Version),
}

impl Encoding {
    const JSON_RPC: usize = 0;
    const STOMP_1_0: usize = 1;
    const STOMP_1_1: usize = 2;
    const STOMP_1_2: usize = 3;

    /// The encoding of a message, made by `encode` if nobody has made it.
    pub(crate) fn of(self, message: &ChannelMessage, encode: impl FnOnce() -> Bytes) -> &Bytes {
        message.encodings[self.place()].get_or_init(encode)
    }

    const fn place(self) -> usize {
        match self {
            Self::JsonRpc => Self::JSON_RPC,
            Self::Stomp(Version::V1_0) => Self::STOMP_1_0,
            Self::Stomp(Version::V1_1) => Self::STOMP_1_1,
            Self::Stomp(Version::V1_2) => Self::STOMP_1_2,
        }
    }
}

const _: () = assert!(Encoding::STOMP_1_2 < ENCODINGS_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::ChannelName;

    #[test]
    fn each_form_is_encoded_once_and_by_itself() {
        let channel = ChannelName::new("news").unwrap();
        let message = ChannelMessage::new(channel, Bytes::new(), "".into());
        let forms = || {
            let stomp = Version::ALL.into_iter().map(Encoding::Stomp);
            std::iter::once(Encoding::JsonRpc).chain(stomp).enumerate()
        };
        for (number, form) in forms() {
            form.of(&message, || Bytes::from(vec![number as u8]));
        }
        for (number, form) in forms() {
            let kept = form.of(&message, || panic!("{form:?} is encoded again"));
            assert_eq!(kept[..], [number as u8]);
        }
    }
}
