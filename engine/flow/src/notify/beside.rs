//! What is told while the outbox cannot be written: on a full or read-only disk, or where the state cannot even be
//! looked at.

use waxwing_core::notify::event::Event;
use waxwing_core::time::Timestamp;

use super::letter::{self, Letter, Rest};
use super::{Office, Reminded, Sent, Told, known};
use crate::tell::{self, Scene, unkept};

/// A letter that is in no outbox and was not delivered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsent {
    /// The letter.
    pub letter: Letter,
    /// Who still lacks it, if others have it.
    pub rest: Rest,
}

impl Office<'_> {
    /// Tells what is new, and what was not taken before, as long as somebody can keep that; else what
    /// [`unkept`](Self::unkept) says.
    pub(super) async fn tell_beside(&self, told: &[Told], scene: &Scene<'_>) -> Vec<Sent> {
        let (late, new, kept) = self.letters_beside(told, scene);
        let (mut letters, mut rests): (Vec<Letter>, Vec<Rest>) =
            late.into_iter().map(|one| (one.letter, one.rest)).unzip();
        letters.extend(new);
        let sent = self.send_all(&letters, &rests, false).await;
        rests.resize(letters.len(), Rest::default());
        let unsent = letters.into_iter().zip(rests).zip(&sent);
        let unsent = unsent.filter_map(|((letter, rest), sent)| match &sent.outcome {
            Err(_) => Some(Unsent { letter, rest }),
            Ok(delivered) => {
                let lack = delivered.deferred.iter();
                let rest = Rest {
                    to: lack.map(|one| one.recipient.clone()).collect(),
                    refused: rest.refused || !delivered.refused.is_empty(),
                };
                (!rest.to.is_empty()).then_some(Unsent { letter, rest })
            }
        });
        let unsent: Vec<Unsent> = unsent.collect();
        // What could not be kept before cannot be now.
        if kept && !self.reminder.keep(&self.reminder.kept(), &unsent) {
            tracing::error!("what was not delivered cannot be kept");
        }
        sent
    }

    /// Letters beside the outbox that somebody still wants to read, and whom there is somebody to bring to.
    pub(super) fn unsent(&self, now: Timestamp) -> Vec<Unsent> {
        let mut unsent = self.reminder.unsent();
        unsent.retain(|one| {
            let known = self.listeners.contains_key(&one.letter.notifier);
            known && now.since(one.letter.notice.at) <= letter::GIVEN_UP
        });
        unsent
    }

    /// Letters that wait, new ones, and whether they are kept.
    fn letters_beside(&self, told: &[Told], scene: &Scene<'_>) -> (Vec<Unsent>, Vec<Letter>, bool) {
        let mut reminded = self.reminder.kept();
        let tale = tell::tell(&known(told, &reminded), scene);
        let late = self.unsent(scene.now);
        let new = self.letters_of(scene.now, &tale);
        if new.is_empty() && late.is_empty() && tale.told.is_empty() && tale.over.is_empty() {
            return (late, new, false);
        }
        for (subject, kind) in &tale.over {
            let was = told
                .iter()
                .find(|one| one.subject == *subject && one.kind == *kind)
                .cloned();
            let was = was.or_else(|| {
                let mut reminded = reminded.iter();
                let one = reminded.find(|one| one.is_of(subject, *kind));
                one.map(|one| one.told.clone())
            });
            reminded.retain(|one| !one.is_of(subject, *kind));
            reminded.extend(was.map(|told| Reminded { told, over: true }));
        }
        for told in &tale.told {
            reminded.retain(|one| !one.is_of(&told.subject, told.kind));
            let told = told.clone();
            reminded.push(Reminded { told, over: false });
        }
        let fresh = new.iter().cloned().map(|letter| Unsent {
            letter,
            rest: Rest::default(),
        });
        let all: Vec<Unsent> = late.iter().cloned().chain(fresh).collect();
        if self.reminder.keep(&reminded, &all) {
            return (late, new, true);
        }
        let events = self.unkept(tell::tell(told, scene).events, scene);
        (late, self.letters(scene.now, &events), false)
    }

    /// Of what cannot be written down what is told all the same: what comes once, and the rest if none of
    /// it was told today.
    fn unkept(&self, mut events: Vec<Event>, scene: &Scene<'_>) -> Vec<Event> {
        let now = scene.now;
        let states: Vec<Event> = events
            .iter()
            .filter(|event| !unkept::comes_once(event))
            .cloned()
            .collect();
        let told_today = match self.reminder.last() {
            _ if states.is_empty() => return events,
            Some(last) if !unkept::is_over(last, now) => true,
            _ => !self.reminder.set(now) && !unkept::is_its_hour(&states, scene),
        };
        if told_today {
            events.retain(unkept::comes_once);
        }
        events
    }
}
