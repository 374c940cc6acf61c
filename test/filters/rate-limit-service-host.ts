/** A gateway whose budgets a Rate Limit Service keeps, and its service: what tests of both modes begin with. */
import { LimitHost, midnight } from "./rate-limit-driver.ts";
import { call, rule as localRule, team } from "./rate-limit-requests.ts";
import { type LedgerService, type Service, ServiceDriver } from "./rate-limit-service.ts";

/** In mode strict, unless `more` says another. */
export const rule = (limits: object[], more: object = {}) => localRule(limits, { mode: "strict", ...more });
export const service = (more: object = {}) => ({ cluster: "ledger", ...more });
/** Entries of the descriptor of the first limit of the rule, for team a. */
export const budget = { rule: "team", limit: "tokens/minute", "x-team": "a" };

export async function started<S extends Service>(kept: S, rules: object[], serviceSpec = service(), workers = 1) {
  const gateway = await LimitHost.start({ service: serviceSpec, rules }, { workers });
  const driver = new ServiceDriver(gateway.host, kept);
  const now = () => Number(gateway.host.clock.realtimeNs / 1_000_000n);
  /** A request, and what the service says to it. */
  const ask = async (max: number, name = "a", worker = 0) => {
    const stream = gateway.ask(call(max), team(name), worker);
    await driver.settle();
    return stream;
  };
  const answer = async (stream: Awaited<ReturnType<typeof ask>>, input: number, output: number) => {
    gateway.answer(stream, { input, output });
    await driver.settle();
    return stream;
  };
  /** Ticks have passed, so the service knows all that is over. */
  const told = async () => {
    gateway.host.advance(500);
    await driver.settle();
  };
  return { gateway, driver, kept, now, ask, answer, told };
}

/** What other Envoys have taken of the budget of team a, 1,000 tokens in the first minute. */
export const takenElsewhere = (kept: LedgerService, hits: number) => {
  const entries = Object.entries(budget).map(([key, value]) => ({ key, value }));
  const descriptor = { entries, limit: { requestsPerUnit: 1_000, unit: 2, unitMultiplier: 1 }, hits, negative: false };
  return kept.answer({ domain: "tokenmesh", hits: 0, descriptors: [descriptor] }, midnight);
};
