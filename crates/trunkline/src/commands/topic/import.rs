use super::lines::{self, Head, Line, SubscriptionHead};
use crate::{
    args::ImportArgs,
    commands::{
        again,
        publish::{Encoded, Outcome, Source, Window},
    },
    context::Context,
    failure::Failure,
    progress,
    signal::Stop,
    text,
};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use trunkline::{Connection, RequestError};
use trunkline_model::ErrorCode;

/// Requests read and not yet taken.
const WAITING_MAX: usize = 8;
/// Most messages of a request, and most bytes of its lines, unless one alone has more.
const MESSAGES_MAX: usize = 512;
const BYTES_MAX: usize = 128 << 10;

pub(super) async fn import(context: &Context, args: ImportArgs) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let mut items = Items::read(&args)?;
    let begin = Instant::now();
    let connection = tokio::select! {
        connection = context.connect() => connection?,
        () = stop.asked() => return Err(Failure::failed("interrupted")),
    };
    let style = progress::style("{bar:30} {human_pos} of {human_len} confirmed, {rate}, {elapsed}");
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut window = Window::new(connection.0, args.retry, bar.clone());
    let outcome = run(context, &args, &mut items, &mut window, &bar, &mut stop).await;
    let Outcome { confirmed, .. } = window.finish();
    if items.reserved > 0 {
        eprintln!(
            "left out {}, which only Trunkline writes: such dead letters go back with --to only",
            text::counted(items.reserved, "trunkline-… header")
        );
    }
    let elapsed = begin.elapsed();
    let messages = text::counted(confirmed, "message");
    let topics = match outcome {
        Ok(topics) => topics,
        Err(failure) => {
            eprintln!(
                "confirmed {messages}; repeat it within the publish_id_window (2m by default) and \
                 each is stored once, or go on later with --skip {}",
                args.skip + confirmed
            );
            return Err(failure);
        }
    };
    if context.output.json {
        let elapsed_ms = elapsed.as_secs_f64() * 1e3;
        let result = json!({"topics": topics, "messages": confirmed, "elapsed_ms": elapsed_ms});
        return Ok(context.output.object(&result)?);
    }
    let (topics, time) = (text::counted(topics, "topic"), text::time(elapsed));
    eprintln!("imported {messages} of {topics} in {time}");
    Ok(())
}

/// Imports everything; how many topics.
async fn run(
    context: &Context,
    args: &ImportArgs,
    items: &mut Items,
    window: &mut Window,
    bar: &ProgressBar,
    stop: &mut Stop,
) -> Result<u64, Failure> {
    let mut topics = 0;
    loop {
        let item = tokio::select! {
            item = items.next_item() => item,
            () = stop.asked() => return Err(Failure::failed("interrupted")),
        };
        let head = match item {
            None => return Ok(topics),
            Some(Item::Topic(head)) => head,
            Some(Item::Failed(failure)) => return Err(failure),
            // Only a head is followed by messages.
            Some(Item::Messages { .. }) => continue,
        };
        topics += 1;
        bar.inc_length(head.messages);
        while let Err(error) = make(window.client(), &head, args.as_is).await {
            match args.retry && again::passes(&error) {
                true => window.recover(context, stop, error).await?,
                false => return Err(Failure::from(error).while_doing(&head.topic)),
            }
        }
        window
            .run(context, items, stop)
            .await
            .map_err(|failure| failure.while_doing(&head.topic))?;
    }
}

/// Makes a topic and its subscriptions, or checks that they are like that.
async fn make(client: &Connection, head: &Head, as_is: bool) -> Result<(), RequestError> {
    #[derive(Deserialize)]
    struct Declared {
        created: bool,
    }
    let options = match &head.options {
        Value::Null => json!({}),
        options => options.clone(),
    };
    let params = json!({"topic": head.topic, "options": options});
    let made: Result<Declared, _> = client.ask("rpc.topic.declare", &params).await;
    match made {
        Ok(Declared { created }) if as_is && !created => return Ok(()),
        Ok(_) => {}
        Err(error) if as_is && error.code() == Some(ErrorCode::Conflict) => return Ok(()),
        Err(error) => return Err(error),
    }
    for SubscriptionHead {
        subscription,
        options,
    } in &head.subscriptions
    {
        let mut params = json!({"topic": head.topic, "subscription": subscription});
        if !options.is_null() {
            params["options"] = options.clone();
        }
        client.request("rpc.topic.subscribe", &params).await?;
    }
    Ok(())
}

/// What was read.
enum Item {
    Topic(Head),
    Messages {
        params: Box<RawValue>,
        messages: u64,
        reserved: u64,
    },
    Failed(Failure),
}

/// The topics and messages of an export, in its order.
struct Items {
    items: mpsc::Receiver<Item>,
    /// A head that ended the messages before it.
    held: Option<Item>,
    /// Headers that were left out.
    reserved: u64,
}

impl Items {
    fn read(args: &ImportArgs) -> Result<Self, Failure> {
        let (to, items) = mpsc::channel(WAITING_MAX);
        let from: Box<dyn Read + Send> = match args.file.as_deref() {
            None => Box::new(io::stdin()),
            Some(path) if path == Path::new("-") => Box::new(io::stdin()),
            Some(path) => Box::new(File::open(path).map_err(|error| {
                Failure::failed(format!("can't read {}: {error}", path.display()))
            })?),
        };
        let mut reader = Reader {
            to,
            topic: args.topic.clone(),
            skip: args.skip,
            number: 0,
            current: None,
            batch: Batch::default(),
        };
        // A thread of its own: reading a pipe can't be cancelled.
        thread::spawn(move || {
            if let Err(Broken::Failed(text)) = reader.run(BufReader::new(from)) {
                // Nobody wants to know if the command has ended.
                let _ = reader.to.blocking_send(Item::Failed(Failure::failed(text)));
            }
        });
        Ok(Self {
            items,
            held: None,
            reserved: 0,
        })
    }

    async fn next_item(&mut self) -> Option<Item> {
        match self.held.take() {
            Some(item) => Some(item),
            None => self.items.recv().await,
        }
    }
}

impl Source for Items {
    async fn next(&mut self) -> Option<Result<Encoded, Failure>> {
        match self.next_item().await? {
            Item::Messages {
                params,
                messages,
                reserved,
            } => {
                self.reserved += reserved;
                Some(Ok(Encoded { params, messages }))
            }
            Item::Failed(failure) => Some(Err(failure)),
            head @ Item::Topic(_) => {
                self.held = Some(head);
                None
            }
        }
    }
}

/// Messages of one request.
#[derive(Default)]
struct Batch {
    messages: Vec<Box<RawValue>>,
    bytes: usize,
    reserved: u64,
}

/// Why reading ended before its end.
enum Broken {
    /// Nobody takes what is read any more.
    Unwanted,
    Failed(String),
}

impl From<String> for Broken {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

struct Reader {
    to: mpsc::Sender<Item>,
    /// Where everything goes, if not where it came from.
    topic: Option<String>,
    /// Messages still to be left out.
    skip: u64,
    /// Lines read.
    number: u64,
    /// The topic that is being read, where its messages go, and how many there were.
    current: Option<(String, String, u64)>,
    batch: Batch,
}

impl Reader {
    fn run(&mut self, mut from: impl BufRead) -> Result<(), Broken> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = from.read_line(&mut line);
            let number = self.number + 1;
            let read = read.map_err(|error| format!("line {number}: can't be read: {error}"))?;
            self.number = number;
            if read == 0 {
                break;
            }
            if !line.trim().is_empty() {
                self.line(line.trim_end())?;
            }
        }
        // What came before the break counts.
        self.flush()?;
        match &self.current {
            Some((topic, _, messages)) => Err(Broken::Failed(format!(
                "the export was cut off: topic {topic} has no end after {}",
                text::counted(*messages, "message")
            ))),
            None => Ok(()),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Broken> {
        let number = self.number;
        let wrong = |problem: &str| format!("line {number} is not of an export: {problem}");
        match (
            lines::read(line).map_err(|problem| wrong(&problem))?,
            &mut self.current,
        ) {
            (Line::Head(mut head), None) => {
                let from = head.topic.clone();
                if let Some(topic) = &self.topic {
                    head.topic.clone_from(topic);
                }
                self.current = Some((from, head.topic.clone(), 0));
                self.send(Item::Topic(head))
            }
            (Line::Message(message), Some((.., messages))) => {
                *messages += 1;
                if self.skip > 0 {
                    self.skip -= 1;
                    return Ok(());
                }
                let bytes = self.batch.bytes + line.len();
                let count = self.batch.messages.len();
                if count > 0 && (count >= MESSAGES_MAX || bytes > BYTES_MAX) {
                    self.flush()?;
                }
                let json = to_raw_value(&message).map_err(|error| error.to_string())?;
                self.batch.bytes += line.len();
                self.batch.reserved += message.reserved;
                self.batch.messages.push(json);
                Ok(())
            }
            (Line::End { topic, messages }, Some((from, _, read))) => {
                if topic != *from || messages != *read {
                    let problem = format!(
                        "it ends topic {topic} after {messages} messages, but {read} of {from} came"
                    );
                    return Err(wrong(&problem).into());
                }
                self.flush()?;
                self.current = None;
                Ok(())
            }
            (Line::Head(_), Some((from, ..))) => {
                Err(wrong(&format!("topic {from} has no end before it")).into())
            }
            (Line::Message(_) | Line::End { .. }, None) => {
                Err(wrong("it belongs to no topic").into())
            }
        }
    }

    fn flush(&mut self) -> Result<(), Broken> {
        #[derive(Serialize)]
        struct Publish<'a> {
            topic: &'a str,
            messages: &'a [Box<RawValue>],
        }
        let batch = std::mem::take(&mut self.batch);
        let Some((_, topic, _)) = &self.current else {
            return Ok(());
        };
        if batch.messages.is_empty() {
            return Ok(());
        }
        let params = to_raw_value(&Publish {
            topic,
            messages: &batch.messages,
        })
        .map_err(|error| error.to_string())?;
        self.send(Item::Messages {
            params,
            messages: batch.messages.len() as u64,
            reserved: batch.reserved,
        })
    }

    fn send(&self, item: Item) -> Result<(), Broken> {
        self.to.blocking_send(item).map_err(|_| Broken::Unwanted)
    }
}
