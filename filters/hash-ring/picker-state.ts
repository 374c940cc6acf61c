import { PickList } from "../lib/pick/pick-list";
import { Ticket } from "../lib/pick/ticket";
import { StageState } from "../pipeline/stage";
import { PickerPool } from "./picker-pool";

/** What the picker knows of one request. */
@final
export class PickerState extends StageState {
  /** Null: it is no pool's, or nothing was picked. */
  pool: PickerPool | null = null;
  readonly list: PickList = new PickList();
  readonly ticket: Ticket = new Ticket();
  /** The endpoint was asked how busy it is. */
  asksLoad: bool = false;
  /** Whose answer it is, where its load is asked for; -1 for nobody's that is known. */
  servedSlot: i32 = -1;
  /** Tokens of the prompt as they were estimated, and the bytes of it that were read. */
  tokens: i32 = 0;
  promptBytes: u32 = 0;
  /** Of the prompt's chain, when it was sent. */
  blocks: i32 = 0;
  /** The endpoint failed, or its answer is an error of the server. */
  failed: bool = false;
  /** Envoy answered by itself, for a reason that says nothing of the endpoint; or an endpoint of another pool did. */
  tellsNothing: bool = false;

  begin(): void {
    this.pool = null;
    this.list.clear();
    this.asksLoad = false;
    this.servedSlot = -1;
    this.tokens = 0;
    this.promptBytes = 0;
    this.blocks = 0;
    this.failed = false;
    this.tellsNothing = false;
  }
}
