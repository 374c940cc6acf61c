/** A model replica without a model: the APIs of OpenAI, Anthropic and Gemini, tokens paced by a small engine model, metrics under vLLM's names. */

export type { Clock } from "./engine.ts";
export type { Failure, RequestFailure } from "./failures.ts";
export type { ReplicaRequest, RequestOutcome } from "./request-log.ts";
export {
  type FailureOptions,
  type Replica,
  type ReplicaOptions,
  type ReplicaStats,
  startReplica,
} from "./server.ts";
export { type ReplicaTiming, TIMING_PROFILES, type TimingProfile } from "./timing.ts";
