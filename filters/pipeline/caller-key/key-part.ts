/** One of the things by which requests are told apart: that have budgets, or stored answers, of their own. Made from the configuration, never changed. */
import { Bytes } from "../../sdk";

export const enum KeySource {
  /** The captured header `headers[0]`. */
  Header = 0,
  /** The first of the captured `headers` that is there: the client's credential, in the first one behind `Bearer `. */
  ApiKey = 1,
  /** The property `text`, a string: a claim, or other dynamic metadata. */
  Property = 2,
  /** The property `text`, an address of which the port does not count. */
  ClientAddress = 3,
  Model = 4,
  /** As `Header`: the tenant's. */
  Tenant = 5,
  Session = 6,
  /** `text` itself. */
  Constant = 7,
}

@final
export class KeyPart {
  /** Indices among the captured headers. */
  readonly headers: i32[] = [];

  constructor(
    readonly source: KeySource,
    /** Path of a property, its parts joined by `\0`; a constant; for a header its name. */
    readonly text: Bytes,
    /** What a Rate Limit Service is told that the value is. */
    readonly label: Bytes,
  ) {}

  /** The value never leaves the filter, only its hash does. */
  get secret(): bool {
    return this.source == KeySource.ApiKey;
  }
}
