//! Which nodes are in question for a request, beside what they have free.

/// Some of the nodes: whom a request may go to at all, and a last word on who is about to win.
#[derive(Clone, Copy)]
pub struct Among<'a> {
    /// Names the members: what is kept for requests of one number is right as long as `member` says the
    /// same of every node, but for those that were [told of](super::Placer::touch) since.
    pub number: u32,
    /// Whether a node is a member; none where all are.
    pub member: Option<&'a dyn Fn(usize) -> bool>,
    /// Whether a member that is about to be chosen will do in what nodes do not tell: asked of one
    /// after the other, best first, and only for the request at hand.
    pub accept: &'a dyn Fn(usize) -> bool,
}

impl Among<'_> {
    /// Whether a node is a member.
    #[inline]
    pub fn has(&self, node: usize) -> bool {
        self.member.is_none_or(|member| member(node))
    }
}

impl Among<'static> {
    /// All nodes.
    pub const ALL: Among<'static> = Among { number: 0, member: None, accept: &|_| true };
}
