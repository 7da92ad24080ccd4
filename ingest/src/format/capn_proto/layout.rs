//! Where the fields of a struct lie: the format's rules, which never move a field when later ones are added.
//!
//! Data is given out in powers of two of bits (`0` is one bit, `6` a word) from holes that earlier fields
//! left, else from a new word. The members of a union share places; a place that is too small grows into
//! the hole behind it where there is one.

/// The holes of a word, at most one of each size; 0 is none.
#[derive(Debug, Clone, Default)]
struct Holes([u32; 6]);

impl Holes {
    fn take(&mut self, size: usize) -> Option<u32> {
        if size >= 6 {
            return None;
        }
        if self.0[size] != 0 {
            return Some(std::mem::take(&mut self.0[size]));
        }
        let larger = self.take(size + 1)? * 2;
        self.0[size] = larger + 1;
        Some(larger)
    }

    /// Notes what is free behind a field that ends at `offset`, up to `limit`.
    fn add_behind(&mut self, size: usize, mut offset: u32, limit: usize) {
        for slot in &mut self.0[size..limit.min(6)] {
            *slot = offset;
            offset = offset.div_ceil(2);
        }
    }

    /// Makes the field at `offset` larger by `by` steps, if all behind it is free.
    fn expand(&mut self, size: usize, offset: u32, by: usize) -> bool {
        if by == 0 {
            return true;
        }
        if size >= 6 || self.0[size] != offset + 1 || !self.expand(size + 1, offset / 2, by - 1) {
            return false;
        }
        self.0[size] = 0;
        true
    }

    fn smallest_at_least(&self, size: usize) -> Option<usize> {
        (size..6).find(|i| self.0[*i] != 0)
    }
}

/// A place that the members of a union share.
#[derive(Debug, Clone)]
struct Place {
    size: usize,
    offset: u32,
}

/// What one member uses of a place.
#[derive(Debug, Clone, Default)]
struct Usage {
    used: bool,
    size: usize,
    holes: Holes,
}

/// A scope that fields are added to: the struct, or a member of a union.
#[derive(Debug, Clone)]
enum Scope {
    Top,
    Member { union: usize, pointers: usize, any: bool },
}

#[derive(Debug, Clone)]
struct Union {
    parent: usize,
    members: usize,
    discriminant: Option<u32>,
    places: Vec<Place>,
    pointers: Vec<u32>,
}

/// A struct being laid out. Scope 0 is the struct itself.
#[derive(Debug)]
pub struct Layout {
    pub data_words: u32,
    pub pointers: u32,
    holes: Holes,
    scopes: Vec<Scope>,
    /// What each scope uses of the places of its union.
    usages: Vec<Vec<Usage>>,
    unions: Vec<Union>,
}

impl Layout {
    pub fn new() -> Layout {
        Layout {
            data_words: 0,
            pointers: 0,
            holes: Holes::default(),
            scopes: vec![Scope::Top],
            usages: vec![vec![]],
            unions: vec![],
        }
    }

    /// A union within a scope.
    pub fn union(&mut self, parent: usize) -> usize {
        self.unions.push(Union {
            parent,
            members: 0,
            discriminant: None,
            places: vec![],
            pointers: vec![],
        });
        self.unions.len() - 1
    }

    /// A scope for a member of a union.
    pub fn member(&mut self, union: usize) -> usize {
        self.scopes.push(Scope::Member { union, pointers: 0, any: false });
        self.usages.push(vec![]);
        self.scopes.len() - 1
    }

    /// Where a union says which member is there, in units of 16 bits.
    pub fn discriminant(&self, union: usize) -> Option<u32> {
        self.unions[union].discriminant
    }

    /// Notes that a scope has something; the second member brings the discriminant.
    pub fn add_void(&mut self, scope: usize) {
        let Scope::Member { union, any, .. } = &mut self.scopes[scope] else { return };
        if std::mem::replace(any, true) {
            return;
        }
        let union = *union;
        self.unions[union].members += 1;
        if self.unions[union].members == 1 {
            // The union is a field of what is around it.
            let parent = self.unions[union].parent;
            self.add_void(parent);
        }
        if self.unions[union].members == 2 {
            let parent = self.unions[union].parent;
            self.unions[union].discriminant = Some(self.add_data(parent, 4));
        }
    }

    /// Room for data of a size; the offset in units of it.
    pub fn add_data(&mut self, scope: usize, size: usize) -> u32 {
        self.add_void(scope);
        let Scope::Member { union, .. } = self.scopes[scope] else {
            return self.holes.take(size).unwrap_or_else(|| {
                let offset = self.data_words << (6 - size);
                self.data_words += 1;
                self.holes.add_behind(size, offset + 1, 6);
                offset
            });
        };
        let count = self.unions[union].places.len();
        let mut best: Option<(usize, usize)> = None;
        for i in 0..count {
            let place = self.unions[union].places[i].clone();
            let hole = smallest_hole(self.usage(scope, i), &place, size);
            if let Some(hole) = hole.filter(|h| best.is_none_or(|(b, _)| *h < b)) {
                best = Some((hole, i));
            }
        }
        if let Some((_, i)) = best {
            let place = self.unions[union].places[i].clone();
            return take_hole(self.usage(scope, i), &place, size);
        }
        for i in 0..count {
            if let Some(offset) = self.take_by_growing(scope, union, i, size) {
                return offset;
            }
        }
        let parent = self.unions[union].parent;
        let offset = self.add_data(parent, size);
        self.unions[union].places.push(Place { size, offset });
        *self.usage(scope, count) = Usage { used: true, size, holes: Holes::default() };
        offset
    }

    /// Room for a pointer.
    pub fn add_pointer(&mut self, scope: usize) -> u32 {
        self.add_void(scope);
        let Scope::Member { union, pointers, .. } = &mut self.scopes[scope] else {
            self.pointers += 1;
            return self.pointers - 1;
        };
        let (union, at) = (*union, *pointers);
        *pointers += 1;
        if let Some(place) = self.unions[union].pointers.get(at) {
            return *place;
        }
        let parent = self.unions[union].parent;
        let place = self.add_pointer(parent);
        self.unions[union].pointers.push(place);
        place
    }

    fn usage(&mut self, scope: usize, place: usize) -> &mut Usage {
        let usages = &mut self.usages[scope];
        if usages.len() <= place {
            usages.resize(place + 1, Usage::default());
        }
        &mut usages[place]
    }

    fn take_by_growing(
        &mut self,
        scope: usize,
        union: usize,
        i: usize,
        size: usize,
    ) -> Option<u32> {
        let usage = self.usage(scope, i).clone();
        if !usage.used {
            if !self.grow_place(union, i, size) {
                return None;
            }
            let place = self.unions[union].places[i].clone();
            let usage = self.usage(scope, i);
            (usage.used, usage.size) = (true, size);
            return Some(place.offset << (place.size - size));
        }
        let wanted = usage.size.max(size) + 1;
        if wanted > 6 || !self.grow_usage(scope, union, i, wanted, true) {
            return None;
        }
        let place = self.unions[union].places[i].clone();
        let hole = self.usage(scope, i).holes.take(size)?;
        Some((place.offset << (place.size - size)) + hole)
    }

    fn grow_usage(
        &mut self,
        scope: usize,
        union: usize,
        i: usize,
        wanted: usize,
        holes: bool,
    ) -> bool {
        if wanted > self.unions[union].places[i].size && !self.grow_place(union, i, wanted) {
            return false;
        }
        let usage = self.usage(scope, i);
        if holes {
            let from = usage.size;
            usage.holes.add_behind(from, 1, wanted);
        }
        usage.size = wanted;
        true
    }

    fn grow_place(&mut self, union: usize, i: usize, size: usize) -> bool {
        let place = self.unions[union].places[i].clone();
        if size <= place.size {
            return true;
        }
        let (parent, by) = (self.unions[union].parent, size - place.size);
        if !self.expand(parent, place.size, place.offset, by) {
            return false;
        }
        self.unions[union].places[i] = Place { size, offset: place.offset >> by };
        true
    }

    /// Makes a field of a scope larger by `by` steps.
    fn expand(&mut self, scope: usize, size: usize, offset: u32, by: usize) -> bool {
        let Scope::Member { union, .. } = self.scopes[scope] else {
            return self.holes.expand(size, offset, by);
        };
        if size + by > 6 || offset & ((1 << by) - 1) != 0 {
            return false;
        }
        for i in 0..self.unions[union].places.len() {
            let place = self.unions[union].places[i].clone();
            if place.size < size || offset >> (place.size - size) != place.offset {
                continue;
            }
            let local = offset - (place.offset << (place.size - size));
            if local == 0 && self.usage(scope, i).size == size {
                return self.grow_usage(scope, union, i, size + by, false);
            }
            return self.usage(scope, i).holes.expand(size, local, by);
        }
        false
    }
}

fn smallest_hole(usage: &Usage, place: &Place, size: usize) -> Option<usize> {
    if !usage.used {
        return (size <= place.size).then_some(place.size);
    }
    if size >= usage.size {
        return (size < place.size).then_some(size);
    }
    let hole = usage.holes.smallest_at_least(size);
    hole.or((usage.size < place.size).then_some(usage.size))
}

fn take_hole(usage: &mut Usage, place: &Place, size: usize) -> u32 {
    let local = if !usage.used {
        (usage.used, usage.size) = (true, size);
        0
    } else if size >= usage.size {
        let from = usage.size;
        usage.holes.add_behind(from, 1, size);
        usage.size = size + 1;
        1
    } else if let Some(hole) = usage.holes.take(size) {
        hole
    } else {
        let local = 1 << (usage.size - size);
        let limit = usage.size;
        usage.holes.add_behind(size, local + 1, limit);
        usage.size += 1;
        local
    };
    (place.offset << (place.size - size)) + local
}
