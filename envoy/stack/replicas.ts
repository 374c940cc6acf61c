/** The model replicas of the stack: two families of models with two replicas each, all in this process. */
import { type Replica, startReplica, type TimingProfile } from "../replica/index.ts";

interface ReplicaSpec {
  readonly name: string;
  /** Name of the placeholder for its port in the configuration templates. */
  readonly portName: string;
  readonly models: readonly string[];
}

const GPT = ["gpt-4o-mini", "gpt-4.1"];
const CLAUDE = ["claude-sonnet-5-5", "claude-haiku-5-5"];

const REPLICAS: readonly ReplicaSpec[] = [
  { name: "gpt-a", portName: "GPT_A_PORT", models: GPT },
  { name: "gpt-b", portName: "GPT_B_PORT", models: GPT },
  { name: "claude-a", portName: "CLAUDE_A_PORT", models: CLAUDE },
  { name: "claude-b", portName: "CLAUDE_B_PORT", models: CLAUDE },
];

/** Models that a client can ask the proxy for; `gpt-4o` exists only in the router's table, which maps it to `gpt-4o-mini`. */
export const CLIENT_MODELS: readonly string[] = ["gpt-4o", ...GPT, ...CLAUDE];

export interface StackReplicas {
  readonly replicas: readonly Replica[];
  /** Values of the templates' port placeholders. */
  readonly ports: Readonly<Record<string, number>>;
  close(): Promise<void>;
}

export async function startReplicas(timing: TimingProfile): Promise<StackReplicas> {
  const replicas: Replica[] = [];
  const ports: Record<string, number> = {};
  const close = async (): Promise<void> => {
    await Promise.all(replicas.map((replica) => replica.close()));
  };
  try {
    for (const { name, portName, models } of REPLICAS) {
      const replica = await startReplica({ name, models, timing, keepRequests: 0 });
      replicas.push(replica);
      ports[portName] = replica.port;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { replicas, ports, close };
}
