//! The nodes that are not in use, and the way back to the first.

use super::settings::RETURN_WITHIN;
use super::{ClusterEffect, ClusterSession, Health};
use crate::Operation;
use std::time::Duration;
use trunkline_model::Timestamp;

/// How often the first node is probed if nothing else is said.
const FAIL_BACK_INTERVAL: Duration = Duration::from_secs(30);

impl ClusterSession {
    /// Says what came of a probe: whether the node accepted the login.
    pub fn probed(&mut self, now: Timestamp, node: usize, up: bool) {
        let interval = self.probe_interval(node).unwrap_or(FAIL_BACK_INTERVAL);
        let Some(it) = self.nodes.get_mut(node) else {
            return;
        };
        let expected = std::mem::take(&mut it.probing);
        // What a connection of ours says counts for more.
        if !expected || node == self.active {
            return;
        }
        it.health = if up { Health::Up } else { Health::Down };
        if self.link.is_some() {
            it.probe_at = Some(now.after(interval));
        }
        if up && node == 0 && self.settings.fail_back && self.is_ready() {
            self.returning = Some(now.after(RETURN_WITHIN));
        }
        self.go_on(now);
    }

    fn probe_interval(&self, node: usize) -> Option<Duration> {
        let of_first = (self.settings.fail_back && node == 0).then_some(FAIL_BACK_INTERVAL);
        let interval = self.settings.probe_interval.or(of_first);
        interval.map(|interval| interval.max(Duration::from_millis(1)))
    }

    /// A node has accepted the login: from now on the others are probed.
    pub(super) fn plan_probes(&mut self, now: Timestamp) {
        for node in 0..self.nodes.len() {
            let interval = self.probe_interval(node);
            let it = &mut self.nodes[node];
            if node == self.active {
                it.probe_at = None;
            } else if it.probe_at.is_none() && !it.probing {
                it.probe_at = interval.map(|interval| now.after(interval));
            }
        }
    }

    pub(super) fn stop_probes(&mut self) {
        for node in &mut self.nodes {
            node.probe_at = None;
        }
    }

    pub(super) fn probe_what_is_due(&mut self, now: Timestamp) {
        for node in 0..self.nodes.len() {
            let it = &mut self.nodes[node];
            if it.probe_at.is_some_and(|at| at <= now) {
                it.probe_at = None;
                if node != self.active {
                    it.probing = true;
                    self.effects.push_back(ClusterEffect::Probe { node });
                }
            }
        }
    }

    /// Leaves the active node for the first, if the moment is free. Whether it does.
    pub(super) fn move_back(&mut self, now: Timestamp) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        let free = self.returning.is_some()
            && link.session.is_ready()
            && link.moves.is_none()
            && link.sent == 0
            && !self.transactions.any_started();
        if free {
            link.moves = Some(link.session.execute(now, Operation::disconnect()));
        }
        free
    }

    /// It took too long.
    pub(super) fn stop_returning(&mut self) {
        self.returning = None;
        if let Some(link) = &mut self.link
            && link.moves.is_some()
        {
            link.left = true;
            link.session.force_disconnect();
        }
    }
}
