/** The Rate Limit Service that keeps the budgets of rules with mode strict or leased. Made from the configuration, never changed. */
import { Bytes } from "../sdk";

@final
export class RateLimitService {
  /** Envoy cluster of the service. */
  cluster: Bytes = new Bytes();
  /** Under which the service knows the budgets. */
  domain: Bytes = Bytes.literal("tokenmesh");
  /** Tokenmesh's own ledger, which knows reservations; else any service of Envoy's protocol. */
  ledger: bool = true;
  /** How long an answer of it is waited for. */
  timeoutMs: i32 = 250;
  /** The amounts of the rules go with each call; else the service's own configuration says them. */
  overrides: bool = true;
  /** It takes negative hits: what was reserved and not used is given back. False with the ledger, which has a way of its own. */
  refunds: bool = false;
}
