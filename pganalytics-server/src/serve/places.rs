//! Who may have how many connections at once.
//!
//! A connection is *proven* once a request on it came with a good credential;
//! those of trusted proxies are from the start. When all places are taken, a
//! new connection gets that of the oldest unproven one of whichever address
//! has most of them: whoever opens many pushes out their own, and whoever has
//! logged in keeps theirs. Only when every place is proven is a new one refused.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{activity::Activity, limit::Limit};

/// All places.
pub(super) struct Places {
    most: usize,
    most_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by_address: HashMap<IpAddr, OfAddress>,
    by_id: HashMap<u64, IpAddr>,
    /// Addresses by their number of unproven connections.
    heaviest: BTreeSet<(usize, IpAddr)>,
}

#[derive(Default)]
struct OfAddress {
    open: usize,
    unproven: BTreeMap<u64, Weak<Activity>>,
}

/// How an address is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may have so many connections as the limit says.
    Stranger,
    /// This machine: agents of many servers may run on it.
    Local,
    /// A proxy: it has the connections of everybody behind it.
    TrustedProxy,
}

impl Places {
    pub(super) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), most_per_address: most_per_address.max(1), taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of this address (of IPv6, of its network), or
    /// the limit that it runs into.
    pub(super) fn take(
        self: &Arc<Self>,
        address: IpAddr,
        standing: Standing,
        activity: &Arc<Activity>,
    ) -> Result<(), Limit> {
        let mut taken = self.taken();
        let of_address = taken.by_address.get(&address).map_or(0, |of| of.open);
        let mut ends = None;
        if standing == Standing::Stranger && of_address >= self.most_per_address {
            let limit = Limit::ConnectionsPerAddress;
            ends = Some((taken.oldest_unproven(address).ok_or(limit)?, limit));
        } else if taken.by_id.len() >= self.most {
            let limit = Limit::Connections;
            let heaviest = taken.heaviest.last().filter(|(unproven, _)| *unproven > 0).map(|(_, address)| *address);
            let oldest = heaviest.and_then(|address| taken.oldest_unproven(address));
            ends = Some((oldest.ok_or(limit)?, limit));
        }
        let mut ended = None;
        if let Some(((id, other), limit)) = ends {
            taken.remove(id);
            ended = other.upgrade().inspect(|other| other.cut(limit));
        }
        taken.next += 1;
        let id = taken.next;
        let unproven = (standing != Standing::TrustedProxy).then(|| Arc::downgrade(activity));
        taken.insert(id, address, unproven);
        drop(taken);
        // Not before: the last one who holds a connection gives back its place.
        drop(ended);
        activity.take_place(Place { id, places: Arc::clone(self) });
        if standing == Standing::TrustedProxy {
            activity.prove();
        }
        Ok(())
    }
}

impl Taken {
    fn weigh(&mut self, address: IpAddr, change: impl FnOnce(&mut OfAddress)) {
        let entry = self.by_address.entry(address).or_default();
        self.heaviest.remove(&(entry.unproven.len(), address));
        change(entry);
        if entry.open == 0 {
            self.by_address.remove(&address);
        } else {
            self.heaviest.insert((entry.unproven.len(), address));
        }
    }

    fn insert(&mut self, id: u64, address: IpAddr, unproven: Option<Weak<Activity>>) {
        self.by_id.insert(id, address);
        self.weigh(address, |of| {
            of.open += 1;
            of.unproven.extend(unproven.map(|activity| (id, activity)));
        });
    }

    fn remove(&mut self, id: u64) {
        let Some(address) = self.by_id.remove(&id) else { return };
        self.weigh(address, |of| {
            of.open = of.open.saturating_sub(1);
            of.unproven.remove(&id);
        });
    }

    fn prove(&mut self, id: u64) {
        let Some(address) = self.by_id.get(&id).copied() else { return };
        self.weigh(address, |of| {
            of.unproven.remove(&id);
        });
    }

    fn oldest_unproven(&self, address: IpAddr) -> Option<(u64, Weak<Activity>)> {
        let (id, activity) = self.by_address.get(&address)?.unproven.first_key_value()?;
        Some((*id, Weak::clone(activity)))
    }
}

/// A place that is taken; free again when this is dropped.
pub(super) struct Place {
    id: u64,
    places: Arc<Places>,
}

impl Place {
    pub(super) fn prove(&self) {
        self.places.taken().prove(self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::settings::ConnectionLimits;

    fn open(places: &Arc<Places>, address: u8, standing: Standing) -> Result<Arc<Activity>, Limit> {
        let activity = Arc::new(Activity::new(&ConnectionLimits::default(), false));
        places.take(IpAddr::from([192, 0, 2, address]), standing, &activity)?;
        Ok(activity)
    }

    #[test]
    fn who_opens_many_pushes_out_their_own() {
        let places = Places::new(8, 4);
        let agent = open(&places, 1, Standing::Stranger).unwrap();
        agent.prove();
        let page = open(&places, 2, Standing::Stranger).unwrap();
        let flood: Vec<_> = (0..40).map(|_| open(&places, 3, Standing::Stranger).unwrap()).collect();
        let others: Vec<_> = (0..40).map(|_| open(&places, 4, Standing::Stranger).unwrap()).collect();
        assert_eq!((agent.cut_for(), page.cut_for()), (None, None));
        let held = |all: &[Arc<Activity>]| all.iter().filter(|one| one.cut_for().is_none()).count();
        assert_eq!(held(&flood) + held(&others), 6);
        assert_eq!(flood[0].cut_for(), Some(Limit::ConnectionsPerAddress));
    }

    #[test]
    fn the_proven_keep_their_places() {
        let places = Places::new(4, 4);
        let agents: Vec<_> = (0..4).map(|_| open(&places, 1, Standing::Stranger).unwrap()).collect();
        agents.iter().for_each(|agent| agent.prove());
        assert_eq!(open(&places, 1, Standing::Stranger).err(), Some(Limit::ConnectionsPerAddress));
        assert_eq!(open(&places, 2, Standing::Stranger).err(), Some(Limit::Connections));
        drop(agents);
        open(&places, 2, Standing::Stranger).unwrap();
    }

    #[test]
    fn proxies_and_this_machine_have_as_many_as_there_are() {
        let places = Places::new(100, 2);
        let kept: Vec<_> = (0..20)
            .flat_map(|_| [open(&places, 1, Standing::TrustedProxy), open(&places, 2, Standing::Local)])
            .map(Result::unwrap)
            .collect();
        assert!(kept.iter().all(|one| one.cut_for().is_none()));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Open(u8),
        Close(usize),
        Prove(usize),
    }

    proptest! {
        /// Against the obvious model: a list of what is open.
        #[test]
        fn there_are_never_more_than_allowed_and_none_gets_lost(
            steps in vec(prop_oneof![
                4 => (0..5_u8).prop_map(Step::Open),
                1 => any::<usize>().prop_map(Step::Close),
                1 => any::<usize>().prop_map(Step::Prove),
            ], 0..200),
        ) {
            let places = Places::new(10, 4);
            let mut held: Vec<(u8, Arc<Activity>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Open(address) => match open(&places, address, Standing::Stranger) {
                        Ok(activity) => held.push((address, activity)),
                        Err(limit) => {
                            // Refused only where nobody could be asked to go.
                            let proven = held.iter().filter(|(other, activity)| {
                                activity.is_proven() && (limit == Limit::Connections || *other == address)
                            });
                            prop_assert!(proven.count() >= 4);
                        }
                    },
                    Step::Close(at) if !held.is_empty() => {
                        held.swap_remove(at % held.len());
                    }
                    Step::Prove(at) if !held.is_empty() => held[at % held.len()].1.prove(),
                    Step::Close(_) | Step::Prove(_) => {}
                }
                prop_assert!(held.iter().all(|(_, one)| one.cut_for().is_none() || !one.is_proven()));
                held.retain(|(_, activity)| activity.cut_for().is_none());
                prop_assert!(held.len() <= 10);
                prop_assert_eq!(places.taken().by_id.len(), held.len());
                for address in 0..5 {
                    prop_assert!(held.iter().filter(|(other, _)| *other == address).count() <= 4);
                }
            }
            drop(held);
            let taken = places.taken();
            prop_assert!(taken.by_id.is_empty() && taken.by_address.is_empty() && taken.heaviest.is_empty());
        }
    }
}
