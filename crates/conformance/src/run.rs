use crate::{BoxFuture, Factory, Failure, Report, Skipped, cases, lab::Lab};
use std::{any::Any, time::Duration};
use trunkline_model::Capabilities;

/// Ends a case that waits for something that never comes. Not a measure of speed.
const HANG: Duration = Duration::from_secs(60);

/// What a case needs an engine to claim.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    pub(crate) name: &'static str,
    pub(crate) met: fn(&Capabilities, &dyn Factory) -> bool,
}

/// One promise and how it is checked.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(Lab) -> BoxFuture<'static, ()>,
}

/// Runs every case whose needs are claimed, each on an engine of its own, one after the
/// other; `only` limits that to cases whose name contains it. To be called on a tokio
/// runtime with time enabled.
pub async fn run(factory: &dyn Factory, only: Option<&str>) -> Report {
    let mut report = Report {
        engine: factory.name(),
        ..Report::default()
    };
    for (group, cases) in cases::GROUPS {
        for case in *cases {
            let name = format!("{group}: {}", case.name);
            if only.is_none_or(|only| name.contains(only)) {
                run_one(factory, case, name, &mut report).await;
            }
        }
    }
    report
}

async fn run_one(factory: &dyn Factory, case: &Case, name: String, report: &mut Report) {
    let fixture = factory.make().await;
    let capabilities = fixture.engine().capabilities().borrow().clone();
    let missing = |need: &&Need| !(need.met)(&capabilities, factory);
    if let Some(need) = case.needs.iter().find(missing) {
        report.skipped.push(Skipped {
            case: name,
            missing: need.name,
        });
        return;
    }
    // A task of its own, so that a failed assertion ends this case only.
    let task = tokio::spawn((case.run)(Lab::new(fixture, case.name)));
    let abort = task.abort_handle();
    let why = match tokio::time::timeout(HANG, task).await {
        Ok(Ok(())) => return report.passed.push(name),
        Ok(Err(error)) => error.try_into_panic().map_or_else(|e| e.to_string(), text),
        Err(_) => {
            abort.abort();
            format!("something that is promised did not come within {HANG:?}")
        }
    };
    report.failed.push(Failure { case: name, why });
}

fn text(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".into())
}
