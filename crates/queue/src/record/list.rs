use super::wire::{Reader, Tag, delta, text, varint};
use std::{fmt, marker::PhantomData};
use trunkline_model::Timestamp;

/// Something that records hold many of, each encoded with regard to the one before.
pub trait Item<'a>: Copy + fmt::Debug + sealed::Codec<'a> {}

pub(crate) mod sealed {
    use super::Reader;

    /// Knows no item of its own; the value before the first is the default.
    pub trait Codec<'a>: Sized {
        type Previous: Default;
        #[allow(private_interfaces)]
        fn read(reader: &mut Reader<'a>, previous: &mut Self::Previous) -> Option<Self>;
        fn write(&self, out: &mut Vec<u8>, previous: &mut Self::Previous);
    }
}
use sealed::Codec;

/// A list inside a record, read as it is walked. Decoding the record has checked it.
#[derive(Clone, Copy)]
pub struct List<'a, I> {
    bytes: &'a [u8],
    items: PhantomData<fn() -> I>,
}

impl<'a, I: Item<'a>> List<'a, I> {
    pub(crate) const fn empty() -> Self {
        Self {
            bytes: &[],
            items: PhantomData,
        }
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (mut reader, mut previous) = (Reader(bytes), I::Previous::default());
        while !reader.0.is_empty() {
            I::read(&mut reader, &mut previous)?;
        }
        Some(Self {
            bytes,
            items: PhantomData,
        })
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = I> + use<'a, I> {
        let (mut reader, mut previous) = (Reader(self.bytes), I::Previous::default());
        std::iter::from_fn(move || {
            (!reader.0.is_empty())
                .then(|| I::read(&mut reader, &mut previous))
                .flatten()
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a, I: Item<'a>> fmt::Debug for List<'a, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Writes a list as a field, unless it is empty.
pub(crate) fn write_list<'a, I: Item<'a>>(
    tag: Tag,
    out: &mut Vec<u8>,
    items: impl Iterator<Item = I>,
) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    tag.written(out, |out| {
        let mut previous = I::Previous::default();
        items.for_each(|item| item.write(out, &mut previous));
    });
}

/// Sequence of a message.
impl Item<'_> for u64 {}

impl Codec<'_> for u64 {
    type Previous = u64;

    #[allow(private_interfaces)]
    fn read(reader: &mut Reader<'_>, previous: &mut u64) -> Option<Self> {
        *previous = reader.delta(*previous)?;
        Some(*previous)
    }

    fn write(&self, out: &mut Vec<u8>, previous: &mut u64) {
        delta(out, *previous, *self);
        *previous = *self;
    }
}

/// A message and which delivery of it this was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The message.
    pub sequence: u64,
    /// From 1.
    pub attempt: u32,
}

impl Item<'_> for Attempt {}

impl Codec<'_> for Attempt {
    type Previous = u64;

    #[allow(private_interfaces)]
    fn read(reader: &mut Reader<'_>, previous: &mut u64) -> Option<Self> {
        Some(Self {
            sequence: u64::read(reader, previous)?,
            attempt: reader.small()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>, previous: &mut u64) {
        self.sequence.write(out, previous);
        varint(out, self.attempt.into());
    }
}

/// Most subscriptions in one run, so that damage can't ask for billions of them.
pub(crate) const RUN_MAX: u32 = 1 << 16;

/// Subscriptions with neighbouring numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the first; 0 is the backlog of a topic without subscriptions.
    pub first: u32,
    /// How many: 1 to 65,536.
    pub count: u32,
}

impl Run {
    /// The numbers.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        self.first..=self.first.saturating_add(self.count - 1)
    }
}

impl Item<'_> for Run {}

impl Codec<'_> for Run {
    type Previous = u32;

    #[allow(private_interfaces)]
    fn read(reader: &mut Reader<'_>, end: &mut u32) -> Option<Self> {
        let first = end.checked_add(reader.small()?)?;
        let count = reader
            .small()
            .filter(|count| (1..=RUN_MAX).contains(count))?;
        *end = first.checked_add(count)?;
        Some(Self { first, count })
    }

    fn write(&self, out: &mut Vec<u8>, end: &mut u32) {
        varint(out, (self.first - *end).into());
        varint(out, self.count.into());
        *end = self.first + self.count;
    }
}

/// Where a message stands in a subscription, if not at its own sequence and priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Number of the subscription; 0 is the backlog of a topic without subscriptions.
    pub subscription: u32,
    /// Priority under which it is delivered.
    pub lane: u8,
    /// Position within that priority.
    pub position: u64,
    /// Deliveries so far.
    pub attempts: u32,
}

impl Item<'_> for Placement {}

impl Codec<'_> for Placement {
    type Previous = ();

    #[allow(private_interfaces)]
    fn read(reader: &mut Reader<'_>, (): &mut ()) -> Option<Self> {
        Some(Self {
            subscription: reader.small()?,
            lane: reader.small()?,
            position: reader.varint()?,
            attempts: reader.small()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>, (): &mut ()) {
        varint(out, self.subscription.into());
        varint(out, self.lane.into());
        varint(out, self.position);
        varint(out, self.attempts.into());
    }
}

/// A publish id that a topic remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedId<'a> {
    /// The id.
    pub id: &'a str,
    /// When it was first seen.
    pub at: Timestamp,
    /// The message that it stands for.
    pub sequence: u64,
}

impl<'a> Item<'a> for RememberedId<'a> {}

impl<'a> Codec<'a> for RememberedId<'a> {
    type Previous = (u64, u64);

    #[allow(private_interfaces)]
    fn read(reader: &mut Reader<'a>, (at, sequence): &mut (u64, u64)) -> Option<Self> {
        *at = reader.delta(*at)?;
        *sequence = reader.delta(*sequence)?;
        Some(Self {
            id: reader.text()?,
            at: Timestamp::from_micros(*at),
            sequence: *sequence,
        })
    }

    fn write(&self, out: &mut Vec<u8>, previous: &mut (u64, u64)) {
        let next = (self.at.as_micros(), self.sequence);
        delta(out, previous.0, next.0);
        delta(out, previous.1, next.1);
        *previous = next;
        text(out, self.id);
    }
}

/// A user header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header<'a>(pub(crate) &'a str, pub(crate) &'a str);

impl<'a> Item<'a> for Header<'a> {}

impl<'a> Codec<'a> for Header<'a> {
    type Previous = ();

    #[allow(private_interfaces)]
    fn read(reader: &mut Reader<'a>, (): &mut ()) -> Option<Self> {
        Some(Self(reader.text()?, reader.text()?))
    }

    fn write(&self, out: &mut Vec<u8>, (): &mut ()) {
        text(out, self.0);
        text(out, self.1);
    }
}
