/**
 * Prometheus metrics under the names of vLLM, so that anything that reads a vLLM server reads a replica:
 * https://docs.vllm.ai/en/latest/usage/metrics.html. The older `gpu_cache_usage_perc` is kept beside `kv_cache_usage_perc`.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ReplicaModel } from "./model.ts";

const SECONDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];

interface SequenceTimes {
  readonly model: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly finish: "stop" | "length" | "abort";
  readonly e2eSeconds: number;
}

export interface ReplicaMetrics {
  readonly contentType: string;
  text(): Promise<string>;
  started(model: string): void;
  firstToken(model: string, seconds: number): void;
  nextToken(model: string, seconds: number): void;
  finished(times: SequenceTimes): void;
}

/** `models[0]` carries the values of the whole engine (queue, cache), as one vLLM process serves one base model. */
export function createMetrics(engineModel: ReplicaModel, models: readonly string[]): ReplicaMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ engine: "0" });
  const registers = [registry];
  const labelNames = ["model_name"] as const;
  const base = { model_name: models[0] ?? "" };

  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.set(base, read());
      },
    });
  };
  gauge("vllm:num_requests_running", "Sequences in the running batch.", () => engineModel.running);
  gauge("vllm:num_requests_waiting", "Sequences waiting for a slot.", () => engineModel.waiting);
  gauge("vllm:kv_cache_usage_perc", "KV cache held by running sequences, 0..1.", () => engineModel.kvUsage);
  gauge("vllm:gpu_cache_usage_perc", "Older name of vllm:kv_cache_usage_perc.", () => engineModel.kvUsage);
  new Gauge({
    name: "vllm:cache_config_info",
    help: "Block size and number of KV cache blocks, as labels.",
    labelNames: ["block_size", "num_gpu_blocks"],
    registers,
  }).set({ block_size: engineModel.timing.blockTokens, num_gpu_blocks: engineModel.timing.kvBlocks }, 1);

  const total = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        this.inc(base, read());
      },
    });
  };
  total("vllm:prefix_cache_queries_total", "Prompt tokens looked up.", () => engineModel.prefixTotals.queriedTokens);
  total("vllm:prefix_cache_hits_total", "Prompt tokens found.", () => engineModel.prefixTotals.hitTokens);

  const counter = (name: string, help: string) => new Counter({ name, help, labelNames, registers });
  const promptTokens = counter("vllm:prompt_tokens_total", "Prompt tokens of finished requests.");
  const generationTokens = counter("vllm:generation_tokens_total", "Tokens generated.");
  const success = new Counter({
    name: "vllm:request_success_total",
    help: "Finished requests.",
    labelNames: ["model_name", "finished_reason"],
    registers,
  });
  const histogram = (name: string, help: string) =>
    new Histogram({ name, help, labelNames, buckets: SECONDS, registers });
  const ttft = histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.");
  const itl = histogram("vllm:inter_token_latency_seconds", "Between two tokens of one answer.");
  const e2e = histogram("vllm:e2e_request_latency_seconds", "From arrival to the last token.");

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    started: (model) => generationTokens.inc({ model_name: model }, 0),
    firstToken: (model, seconds) => ttft.observe({ model_name: model }, seconds),
    nextToken: (model, seconds) => itl.observe({ model_name: model }, seconds),
    finished: ({ model, promptTokens: prompt, completionTokens, finish, e2eSeconds }) => {
      const labels = { model_name: model };
      generationTokens.inc(labels, completionTokens);
      success.inc({ ...labels, finished_reason: finish });
      if (finish === "abort") return;
      promptTokens.inc(labels, prompt);
      e2e.observe(labels, e2eSeconds);
    },
  };
}
