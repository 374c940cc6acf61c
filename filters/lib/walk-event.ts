/** What `JsonWalker` says to its caller. */

/** What `next` came upon. The values of statuses are those of `ScanStatus`. */
export const enum WalkEvent {
  NeedMore = 0,
  /** A value begins: see `scope`, `keyIs`, `kind`, `start`. Answer with `enter`, `capture`, `skip` or nothing. */
  Begin = 1,
  /** Not JSON; `consumed` is the offset of the first wrong byte. Final. */
  Invalid = 2,
  /** Deeper than `MAX_DEPTH` or longer than `maxBytes`. Final. */
  Limit = 3,
  /** The document is complete; only white space may follow. */
  Complete = 4,
  /** A value with a tag is over: see `tag`, `kind`, `start`, `end`. */
  End = 5,
}

/** `scope` of the members of the document itself; tags of other values are below. */
export const ROOT: i32 = 255;
