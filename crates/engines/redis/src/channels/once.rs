//! Decoding a message once for all who hear it.

use super::encoding;
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use trunkline_model::ChannelMessage;

/// The message that was decoded last. The multiplexer hands one message to its listeners in a row, with
/// the same bytes in the same place.
#[derive(Debug, Default)]
pub(super) struct Once(Mutex<Option<Last>>);

/// Keeps the bytes, so that nothing else comes to their place meanwhile.
#[derive(Debug)]
struct Last {
    channel: Bytes,
    payload: Bytes,
    message: Option<Arc<ChannelMessage>>,
}

impl Once {
    /// The message; `None` if it is on a channel whose name is none of ours.
    pub(super) fn decode(&self, channel: Bytes, payload: Bytes) -> Option<Arc<ChannelMessage>> {
        let mut last = self.0.lock().expect("decoding doesn't panic");
        if let Some(last) = &*last
            && is_same(&last.channel, &channel)
            && is_same(&last.payload, &payload)
        {
            return last.message.clone();
        }
        let name = str::from_utf8(&channel).ok();
        let name = name.and_then(|name| name.parse().ok());
        let message = name.map(|name| Arc::new(encoding::decode(name, &payload)));
        *last = Some(Last {
            channel,
            payload,
            message: message.clone(),
        });
        message
    }
}

fn is_same(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_decoded_once_for_all_and_the_next_anew() {
        let read = Bytes::from(b"news 1 news 1 \xff".to_vec());
        let once = Once::default();
        let decode =
            |from: usize| once.decode(read.slice(from..from + 4), read.slice(from + 5..from + 6));
        let (first, again) = (decode(0).unwrap(), decode(0).unwrap());
        assert!(Arc::ptr_eq(&first, &again));
        let next = decode(7).unwrap();
        assert!(!Arc::ptr_eq(&first, &next));
        assert_eq!((&*next.channel, &next.payload[..]), ("news", &b"1"[..]));
        let foreign = |payload| once.decode(read.slice(14..15), payload);
        assert!(foreign(Bytes::new()).is_none() && foreign(Bytes::new()).is_none());
    }
}
