//! SUBSCRIBE and UNSUBSCRIBE.

use super::{
    connection::{Step, StompConnection},
    consumers::{Consumer, Origin},
    failure,
    inbox::Sink,
    send::{queue, topic_of},
};
use std::sync::Arc;
use trunkline_auth::{Action, Resource};
use trunkline_model::{
    Admin, ChannelName, ConsumeSpec, Headers, Source, SubscriptionName, Timestamp, TopicName,
};
use trunkline_stomp::{
    AckMode, Destination, Failure, SubscribeOptions, SubscribeRequest, SubscriptionNumber, Token,
    durable_name,
};

/// Credit of a subscription that asks for none.
const CREDIT: u32 = 1_000;

impl StompConnection {
    pub(super) fn subscribe(
        &mut self,
        token: Token,
        request: SubscribeRequest,
    ) -> Result<Step, Failure> {
        let destination: Destination = request.destination.parse().map_err(failure::invalid)?;
        let client_id = self.client_id.as_deref();
        let options =
            SubscribeOptions::parse(&request.headers, client_id).map_err(failure::invalid)?;
        self.take_no_new_work()
            .map_err(|error| failure::of(&error))?;
        let (topic, subscription) = match destination {
            Destination::Queue(topic) => (topic, queue()),
            Destination::Subscription { topic, name } => (topic, name),
            Destination::Topic(channel) => match &options.durable {
                Some(name) => (durable_topic(&channel)?, name.clone()),
                None => return self.listen(token, &request, channel),
            },
            Destination::TempQueue(name) => {
                let source = self.subscribe_temp(&name, request.subscription)?;
                self.begin_consuming(Some(token), &request, &options, source);
                return Ok(Step::Later);
            }
            Destination::Rpc(_) => {
                return Err(failure::unsupported(
                    "/rpc/METHOD can't be subscribed to; SEND to it with a reply-to, and subscribe to that",
                ));
            }
        };
        self.allow(
            Action::Consume,
            Resource::Subscription {
                topic: &topic,
                subscription: &subscription,
            },
        )?;
        self.begin_consuming(Some(token), &request, &options, (topic, subscription));
        Ok(Step::Later)
    }

    /// Has the engine serve a subscription, which gets nothing before it is
    /// [started](Self::start).
    pub(super) fn begin_consuming(
        &mut self,
        token: Option<Token>,
        request: &SubscribeRequest,
        options: &SubscribeOptions,
        source: (TopicName, SubscriptionName),
    ) {
        let (topic, subscription) = &source;
        let own = self.shared.config.limits.delivery_window_bytes.0;
        let asked = options.window_bytes.unwrap_or(u64::MAX);
        let window = self.consumers.window(own.min(asked));
        let spec = ConsumeSpec {
            sources: vec![Source {
                topic: topic.clone(),
                subscription: subscription.clone(),
                from: None,
            }],
            // Nothing before its RECEIPT is written.
            credit: 0,
            window_bytes: window,
            // What was handed over is not written yet.
            auto_ack: false,
        };
        let number = request.subscription;
        let inbox = self.inbox.clone();
        self.submit_gathered();
        let engine = &self.shared.services.engine;
        let handle = engine.consume(&self.caller, spec, Arc::new(Sink { number, inbox }));
        let consumer = Consumer {
            handle,
            starting: token,
            leaving: false,
            credit: options.credit.unwrap_or(CREDIT),
            auto: request.ack == AckMode::Auto,
            window,
            destination: request.destination.clone(),
            source,
        };
        self.consumers.insert(number, consumer);
    }

    /// The RECEIPT is written: deliveries may come.
    pub(super) fn start(&mut self, now: Timestamp, number: SubscriptionNumber) {
        match self.consumers.get(number) {
            Some(consumer) => consumer.handle.credit(consumer.credit),
            None => self.start_listening(now, number),
        }
    }

    /// Ends what a subscription consumes, if it does; from where that was.
    fn stop_consuming(&mut self, number: SubscriptionNumber) -> Option<Origin> {
        let consumer = self.consumers.get_mut(number)?;
        if consumer.starting.is_some() {
            // A consumer that is cancelled never says what became of its SUBSCRIBE.
            consumer.leaving = true;
            return Some(consumer.source.clone());
        }
        self.consumers
            .remove(number)
            .map(|consumer| consumer.source)
    }

    /// Ends a subscription, and deletes it if the frame says that it was durable.
    pub(super) fn unsubscribe(
        &mut self,
        token: Token,
        number: Option<SubscriptionNumber>,
        headers: &Headers,
    ) -> Result<Step, Failure> {
        // What was acknowledged before does not return.
        self.submit_gathered();
        let source = number.and_then(|number| self.stop_consuming(number));
        match (&source, number) {
            (Some(_), Some(number)) => self.leave_temp(number),
            (None, Some(number)) => self.stop_listening(self.now(), number),
            (_, None) => {}
        }
        let durable = durable_name(headers, self.client_id.as_deref()).map_err(failure::invalid)?;
        let Some(name) = durable else {
            return Ok(Step::Done);
        };
        let topic = match source {
            Some((topic, subscription)) if subscription == name => topic,
            _ => topic_in(headers)?,
        };
        self.allow(
            Action::Manage,
            Resource::Subscription {
                topic: &topic,
                subscription: &name,
            },
        )?;
        let command = Admin::Unsubscribe {
            topic,
            subscription: name,
        };
        let completion = self.completion(token);
        let engine = &self.shared.services.engine;
        engine.admin(&self.caller, command, completion);
        Ok(Step::Later)
    }
}

/// The topic of a durable subscription that this connection has not taken up.
fn topic_in(headers: &Headers) -> Result<TopicName, Failure> {
    let Some(text) = headers.get("destination") else {
        return Err(failure::invalid(
            "UNSUBSCRIBE of a durable subscription that this connection has not taken up; add header destination",
        ));
    };
    match text.parse().map_err(failure::invalid)? {
        Destination::Topic(channel) => durable_topic(&channel),
        other => Err(failure::invalid(format_args!(
            "{other} has no durable subscriptions of that kind; they are of /topic/NAME"
        ))),
    }
}

fn durable_topic(channel: &ChannelName) -> Result<TopicName, Failure> {
    topic_of(channel).map_err(|error| {
        failure::invalid(format_args!(
            "/topic/{channel} can't be subscribed to durably: {error}"
        ))
    })
}
