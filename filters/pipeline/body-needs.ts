import { KnownBodies } from "./known-bodies";
import { Stage } from "./stage";

/** What the stages of a plugin want to know of a JSON body besides its model. */
@final
export class BodyNeeds {
  /** `Exchange.chat`. */
  chat: bool = false;
  /** The places of the prompt in it. */
  prompt: bool = false;
  /** The stage that wants `Exchange.digest`, and says what makes it. */
  digester: Stage | null = null;
  /** What was digested before. */
  readonly known: KnownBodies = new KnownBodies();
}
