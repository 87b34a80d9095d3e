use crate::{Action, Login, Resource};
use trunkline_model::{Caller, Error, ErrorCode, Principal};

/// Reserved channels that anybody may listen to.
const EVENTS: &str = "_events.";

/// The rules in effect.
#[derive(Debug, Default)]
pub struct Access {}

impl Access {
    /// Everybody may do everything that is not Trunkline's own.
    #[must_use]
    pub const fn allow_all() -> Self {
        Self {}
    }

    /// Who somebody is, by what he says of himself as his connection begins. As long as there
    /// are no users, everybody is [`Principal::Anonymous`], whatever name he gives: nothing
    /// shows that it is his.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`], which names neither the user nor what was wrong.
    pub fn login(&self, login: &Login<'_>) -> Result<Principal, Error> {
        let _ = login;
        Ok(Principal::Anonymous)
    }

    /// Whether `caller` may do this. Every command passes here exactly once, before anything
    /// else sees it.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`] naming the action and the resource.
    pub fn check(
        &self,
        caller: &Caller,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<(), Error> {
        if caller.principal == Principal::System || !is_reserved(action, resource) {
            return Ok(());
        }
        let why = "names with a leading \"_\" are Trunkline's own";
        let error = Error::new(
            ErrorCode::Forbidden,
            format!("not allowed to {action} {resource}: {why}"),
        );
        Err(match resource {
            Resource::Subscription {
                topic,
                subscription,
            } => error
                .with("topic", topic)
                .with("subscription", subscription),
            Resource::Topic(name)
            | Resource::Channel(name)
            | Resource::Pattern(name)
            | Resource::Handler(name)
            | Resource::Method(name)
            | Resource::TempQueue(name) => error.with(resource.kind(), name),
            Resource::Server => error,
        })
    }
}

fn is_reserved(action: Action, resource: Resource<'_>) -> bool {
    match resource {
        Resource::Topic(name) | Resource::Handler(name) => name.starts_with('_'),
        Resource::Subscription {
            topic,
            subscription,
        } => topic.starts_with('_') || subscription.starts_with('_'),
        Resource::Channel(name) | Resource::Pattern(name) => {
            name.starts_with('_') && !(action == Action::Listen && name.starts_with(EVENTS))
        }
        Resource::Server | Resource::Method(_) | Resource::TempQueue(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::{ConnectionId, Protocol};

    fn anonymous() -> Caller {
        Caller {
            principal: Principal::Anonymous,
            connection: ConnectionId(1),
            protocol: Protocol::WebSocket,
            ..Caller::system()
        }
    }

    #[test]
    fn clients_reach_everything_but_reserved_names() {
        let subscription = |topic, subscription| Resource::Subscription {
            topic,
            subscription,
        };
        for (action, resource, allowed) in [
            (Action::Publish, Resource::Topic("orders"), true),
            (Action::Publish, Resource::Topic("_call.sum"), false),
            (Action::Inspect, Resource::Topic("_call.sum"), false),
            (Action::Manage, Resource::Topic("_call.sum"), false),
            (Action::Inspect, Resource::Server, true),
            (Action::Consume, subscription("orders", "billing"), true),
            (Action::Consume, subscription("_call.sum", "workers"), false),
            (Action::Consume, subscription("orders", "_mine"), false),
            (Action::Publish, Resource::Channel("news"), true),
            (Action::Publish, Resource::Channel("_events.calls"), false),
            (Action::Listen, Resource::Channel("_events.calls"), true),
            (Action::Listen, Resource::Channel("_events"), false),
            (Action::Listen, Resource::Channel("_reply.1"), false),
            (Action::Listen, Resource::Pattern("*"), true),
            (Action::Listen, Resource::Pattern("_events.*"), true),
            (Action::Listen, Resource::Pattern("_*"), false),
            (Action::Work, Resource::Handler("math"), true),
            (Action::Work, Resource::Handler("_math"), false),
            (Action::Call, Resource::Method("_anything"), true),
            (Action::Publish, Resource::TempQueue("_mine"), true),
        ] {
            let decision = Access::allow_all().check(&anonymous(), action, resource);
            assert_eq!(decision.is_ok(), allowed, "{action} {resource}");
            let system = Access::allow_all().check(&Caller::system(), action, resource);
            assert_eq!(system, Ok(()), "{action} {resource}");
        }
    }

    #[test]
    fn nobody_is_known_by_the_name_he_gives() {
        let login = Login {
            user: Some("_system"),
            passcode: Some("secret"),
            protocol: Protocol::Stomp,
        };
        let principal = Access::allow_all().login(&login);
        assert_eq!(principal, Ok(Principal::Anonymous));
        assert!(!format!("{login:?}").contains("secret"));
    }

    #[test]
    fn a_refusal_names_what_was_refused() {
        let error = Access::allow_all()
            .check(&anonymous(), Action::Publish, Resource::Topic("_x"))
            .expect_err("reserved");
        assert_eq!(error.code(), ErrorCode::Forbidden);
        assert_eq!(
            error.to_string(),
            "not allowed to publish to topic _x: names with a leading \"_\" are Trunkline's own"
        );
        assert_eq!(error.data().expect("data").to_string(), r#"{"topic":"_x"}"#);
    }
}
