//! Per-worker groups on the engine and on the model.

use slotwise::{
    Group, GroupDone, GroupError, GroupOp, ReleaseError, ReserveError, Resources, State, Ticket,
    WorkerInfo,
};

use crate::naive::Model;
use crate::ops::{Step, Text};
use crate::world::World;

type Outcome = Result<GroupDone, GroupError>;

/// What a step comes to, looked at in the order of the steps.
enum Due {
    Fault(GroupError),
    /// The id holds this already.
    Existing(Ticket),
    Take(Resources),
    Give(Ticket),
}

fn reserve_fault(error: ReserveError) -> Due {
    Due::Fault(GroupError::Reserve(error))
}

fn release_fault(error: ReleaseError) -> Due {
    Due::Fault(GroupError::Release(error))
}

impl World {
    pub fn groups(&mut self, groups: &[(Text, Vec<Step>)]) {
        // Tickets are chosen among those of before the call.
        let tickets = self.tickets.clone();
        let groups: Vec<(Text, Vec<GroupOp<'_>>)> = groups
            .iter()
            .map(|(worker, steps)| (*worker, distinct(steps, &tickets, &self.model)))
            .collect();
        let asked: Vec<Group<'_>> =
            groups.iter().map(|(worker, ops)| Group { worker: worker.as_bytes(), ops }).collect();
        let answers = self.engine.apply_groups(&asked);
        assert_eq!(answers.len(), groups.len());
        for ((worker, ops), answers) in groups.iter().zip(answers) {
            assert_eq!(answers.len(), ops.len());
            self.settle_group(worker, ops, &answers);
        }
    }

    fn settle_group(&mut self, worker: &str, ops: &[GroupOp<'_>], answers: &[Outcome]) {
        let info = self.model.worker(worker).map(|worker| worker.info.clone());
        let due = due(&self.model, info.as_ref(), ops);
        let right = due.iter().all(|due| !matches!(due, Due::Fault(_)));
        if right && info.is_none_or(|info| fits(&self.model, &info, &due)) {
            for ((op, due), answer) in ops.iter().zip(due).zip(answers) {
                self.done(op, due, answer.expect("a group that fits is done"));
            }
        } else {
            failed(ops, &due, answers);
        }
    }

    fn done(&mut self, op: &GroupOp<'_>, due: Due, done: GroupDone) {
        match (op, due, done) {
            (GroupOp::Reserve { id, .. }, Due::Take(need), GroupDone::Reserved(placed)) => {
                assert!(!placed.existing, "{placed:?}");
                self.model.hold(id, need, placed);
                self.tickets.push(placed.ticket);
            }
            (_, Due::Existing(ticket), GroupDone::Reserved(placed)) => {
                assert!(placed.existing && placed.ticket == ticket, "{placed:?}");
            }
            (_, Due::Give(ticket), GroupDone::Released(released)) => {
                assert_eq!(Some(released), self.model.release(ticket));
            }
            (op, _, done) => panic!("{done:?} in answer to {op:?}"),
        }
    }
}

/// The steps, less those that give back what an earlier step gives back or has only just taken.
fn distinct<'a>(steps: &'a [Step], tickets: &[Ticket], model: &Model) -> Vec<GroupOp<'a>> {
    let (mut ids, mut given, mut ops) = (vec![], vec![], vec![]);
    for step in steps {
        let (op, gives) = match step {
            Step::Reserve(id, need) => {
                ids.push(id);
                (GroupOp::Reserve { id, need: *need }, None)
            }
            Step::ReleaseId(id) if ids.contains(&id) => continue,
            Step::ReleaseId(id) => {
                ids.push(id);
                (GroupOp::ReleaseId(id), model.ids.get(id).copied())
            }
            Step::Release(_) if tickets.is_empty() => continue,
            Step::Release(at) => {
                let ticket = *at.get(tickets);
                (GroupOp::Release(ticket), Some(ticket))
            }
        };
        if gives.is_none_or(|ticket| !given.contains(&ticket)) {
            given.extend(gives);
            ops.push(op);
        }
    }
    ops
}

/// What each step comes to by itself and by the steps before it.
fn due<'a>(model: &Model, info: Option<&WorkerInfo>, ops: &[GroupOp<'a>]) -> Vec<Due> {
    let (mut taken, mut given): (Vec<&'a [u8]>, Vec<Ticket>) = (vec![], vec![]);
    let give = |ticket: Option<Ticket>| match ticket.and_then(|t| Some((t, model.held.get(&t)?))) {
        None => release_fault(ReleaseError::NotHeld),
        Some((ticket, held)) if info.is_some_and(|info| info.worker == held.on) => {
            Due::Give(ticket)
        }
        Some(_) => release_fault(ReleaseError::OtherWorker),
    };
    let mut all = vec![];
    for op in ops {
        let due = match *op {
            GroupOp::Reserve { need, .. } if need.is_zero() => reserve_fault(ReserveError::Empty),
            GroupOp::Reserve { .. } if info.is_none() => reserve_fault(ReserveError::UnknownWorker),
            GroupOp::Reserve { id, .. } if taken.contains(&id) => {
                reserve_fault(ReserveError::DuplicateId)
            }
            GroupOp::Reserve { id, need } => match model.ids.get(id) {
                Some(ticket) if !given.contains(ticket) => {
                    taken.push(id);
                    Due::Existing(*ticket)
                }
                _ => {
                    taken.extend((!id.is_empty()).then_some(id));
                    Due::Take(need)
                }
            },
            GroupOp::ReleaseId(id) => give(model.ids.get(id).copied()),
            GroupOp::Release(ticket) => give(Some(ticket)),
        };
        if let Due::Give(ticket) = due {
            given.push(ticket);
        }
        all.push(due);
    }
    all
}

/// All of it as one change: what is given back makes room for what is taken.
fn fits(model: &Model, info: &WorkerInfo, due: &[Due]) -> bool {
    let (mut room, mut sum) = (info.free, Resources::ZERO);
    for due in due {
        match due {
            Due::Give(ticket) => room = room.plus(&model.held[ticket].amount),
            Due::Take(need) => {
                let (cpu, memory) = (sum.cpu + need.cpu, sum.memory + need.memory);
                sum = Resources { cpu, memory, gpus: sum.gpus + need.gpus };
            }
            _ => {}
        }
    }
    sum.is_zero() || (info.state == State::Ready && room.fits(&sum))
}

/// No step was done: those at fault say why, the others name one at fault.
fn failed(ops: &[GroupOp<'_>], due: &[Due], answers: &[Outcome]) {
    let peer = |answer: &Outcome| match answer {
        Err(GroupError::Reserve(ReserveError::Peer { index })) => Some(*index as usize),
        Err(GroupError::Release(ReleaseError::Peer { index })) => Some(*index as usize),
        _ => None,
    };
    let right = due.iter().all(|due| !matches!(due, Due::Fault(_)));
    for ((op, due), answer) in ops.iter().zip(due).zip(answers) {
        match (peer(answer), answer, due) {
            (_, Ok(done), _) => panic!("part of a failed group was done: {done:?}"),
            (Some(index), ..) => assert_eq!(peer(&answers[index]), None, "{answers:?}"),
            (None, Err(error), Due::Fault(fault)) => match (error, fault) {
                // Nothing is held on a worker that is not there, or it is held elsewhere.
                (GroupError::Release(ReleaseError::NotHeld), GroupError::Release(_)) => {}
                _ => assert_eq!(error, fault),
            },
            // Each step by itself is right: there was no room for all.
            (None, Err(GroupError::Reserve(ReserveError::Refused(_))), Due::Take(_)) if right => {}
            (None, Err(error), _) => panic!("{error:?} in answer to {op:?}"),
        }
    }
}
