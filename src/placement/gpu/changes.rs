//! Which nodes changed since somebody last looked: what must be scored again, and nothing else.

/// Nodes in the order of their last changes, as far back as there are nodes.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Change number n is at n modulo the length: which node.
    ring: Vec<u32>,
    /// The number of each node's last change.
    last: Vec<u64>,
    next: u64,
}

impl Changes {
    /// For `nodes` nodes; all changed with number 0.
    pub fn new(nodes: usize) -> Changes {
        Changes { ring: vec![0; nodes.next_power_of_two().max(64)], last: vec![0; nodes], next: 1 }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.last.len()
    }

    /// The number that the next change will have.
    pub fn now(&self) -> u64 {
        self.next
    }

    /// The number of a node's last change.
    #[inline]
    pub fn last(&self, node: usize) -> u64 {
        self.last[node]
    }

    /// A node changed.
    pub fn record(&mut self, node: usize) {
        let at = self.next as usize & (self.ring.len() - 1);
        self.ring[at] = node as u32;
        self.last[node] = self.next;
        self.next += 1;
    }

    /// The nodes that changed with a number from `since` on, each once, in any order.
    #[inline]
    pub fn list(&self, since: u64, nodes: &mut Vec<u32>) {
        nodes.clear();
        if self.next - since >= self.ring.len() as u64 || since == 0 {
            nodes.extend((0..self.last.len() as u32).filter(|&n| self.last[n as usize] >= since));
            return;
        }
        // Each is written, and counts if it has no later change: that is guessed wrong too often.
        nodes.resize((self.next - since) as usize, 0);
        let mut len = 0;
        for number in since..self.next {
            let node = self.ring[number as usize & (self.ring.len() - 1)];
            nodes[len] = node;
            len += usize::from(self.last[node as usize] == number);
        }
        nodes.truncate(len);
    }

    /// The nodes that changed with a number from `since` on, each once: in the order of their last
    /// changes, or, where that is longer ago than is kept, in their own order. `each` says whether
    /// to go on. The answer is the number from which on it has not been called.
    #[inline]
    pub fn since(&self, since: u64, mut each: impl FnMut(usize) -> bool) -> u64 {
        if self.next - since >= self.ring.len() as u64 || since == 0 {
            for node in (0..self.last.len()).filter(|&node| self.last[node] >= since) {
                each(node);
            }
            return self.next;
        }
        for number in since..self.next {
            let node = self.ring[number as usize & (self.ring.len() - 1)] as usize;
            // Its later change comes later.
            if self.last[node] == number && !each(node) {
                return number + 1;
            }
        }
        self.next
    }
}
