/**
 * What an inference server says of its load in its metrics: vLLM (https://docs.vllm.ai/en/latest/usage/metrics.html) or SGLang
 * (https://docs.sglang.ai/references/production_metrics.html). One address may have several engines (data parallel ranks): their queues are added, their caches
 * averaged.
 */
import { ExpositionError, type Sample, samplesOf } from "./exposition.ts";
import { MAX_ADAPTER_BYTES, MAX_ADAPTERS } from "./limits.ts";

export interface EngineLoad {
  /** Requests in the queue, and in the batch. */
  readonly waiting: number;
  readonly running: number;
  /** Of the KV cache, in use. */
  readonly kvPermille: number;
  /** Of the KV cache, all engines; 0 when not said. */
  readonly blocks: number;
  /** Tokens of a block; 0 when not said. */
  readonly blockTokens: number;
  /** LoRA adapters that run, and that requests wait for. */
  readonly activeAdapters: readonly string[];
  readonly waitingAdapters: readonly string[];
  /** Adapters that can run at once; 0 when not said. */
  readonly maxAdapters: number;
}

interface EngineNames {
  readonly waiting: string;
  readonly running: string;
  /** The first that is there. */
  readonly kvUsage: readonly string[];
  /** Carries size and number of blocks as labels. */
  readonly cacheInfo: string;
  readonly blockSizeLabel: string;
  readonly blocksLabel: string;
  /** Gauges of the same. */
  readonly blockSize: string;
  readonly blocks: string;
}

const ENGINES: readonly EngineNames[] = [
  {
    waiting: "vllm:num_requests_waiting",
    running: "vllm:num_requests_running",
    kvUsage: ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
    cacheInfo: "vllm:cache_config_info",
    blockSizeLabel: "block_size",
    blocksLabel: "num_gpu_blocks",
    blockSize: "",
    blocks: "",
  },
  {
    waiting: "sglang:num_queue_reqs",
    running: "sglang:num_running_reqs",
    kvUsage: ["sglang:token_usage"],
    cacheInfo: "sglang:cache_config_info",
    blockSizeLabel: "page_size",
    blocksLabel: "num_pages",
    blockSize: "sglang:page_size",
    blocks: "sglang:num_pages",
  },
];
const LORA_INFO = "vllm:lora_requests_info";

const WANTED: ReadonlySet<string> = new Set([
  LORA_INFO,
  ...ENGINES.flatMap(({ waiting, running, kvUsage, cacheInfo, blockSize, blocks }) =>
    [waiting, running, ...kvUsage, cacheInfo, blockSize, blocks].filter((name) => name !== ""),
  ),
]);

const MAX_COUNT = 0xffff_ffff;

/** @throws ExpositionError when the text is malformed, has impossible values or none of a known engine */
export function engineLoad(text: string): EngineLoad {
  const samples = samplesOf(text, WANTED).filter(isOwn);
  const named = (name: string) => samples.filter((sample) => sample.name === name);
  const names = ENGINES.find(({ waiting, running }) => named(waiting).length > 0 && named(running).length > 0);
  if (names === undefined) throw new ExpositionError("no queue and batch of a known engine");
  const usage = names.kvUsage.map(named).find((found) => found.length > 0) ?? [];
  return {
    waiting: count(sum(named(names.waiting))),
    running: count(sum(named(names.running))),
    kvPermille: permille(usage),
    ...cacheSize(names, named),
    ...adapters(named(LORA_INFO)),
  };
}

/** SGLang may repeat its gauges for each rank of one engine, and break them down by priority; the sum stands in priority "". */
function isOwn({ labels }: Sample): boolean {
  const isFirst = (rank: string | undefined) => rank === undefined || rank === "0" || rank === "";
  return isFirst(labels.get("tp_rank")) && isFirst(labels.get("pp_rank")) && (labels.get("priority") ?? "") === "";
}

function sum(samples: readonly Sample[]): number {
  return samples.reduce((total, { name, value }) => {
    if (value < 0) throw new ExpositionError(`${name} is less than 0`);
    return total + value;
  }, 0);
}

function count(value: number): number {
  return Math.min(MAX_COUNT, Math.round(value));
}

/** The mean over the engines. A little over 1 can be rounding. */
function permille(samples: readonly Sample[]): number {
  return samples.length === 0 ? 0 : Math.min(1_000, Math.round((sum(samples) / samples.length) * 1_000));
}

function cacheSize(
  names: EngineNames,
  named: (name: string) => readonly Sample[],
): Pick<EngineLoad, "blocks" | "blockTokens"> {
  const infos = named(names.cacheInfo);
  if (infos.length === 0) {
    const [size] = named(names.blockSize);
    return { blockTokens: count(size === undefined ? 0 : sum([size])), blocks: count(sum(named(names.blocks))) };
  }
  const label = ({ labels }: Sample, name: string): number => wholeNumber(labels.get(name));
  return {
    blockTokens: label(infos[0] as Sample, names.blockSizeLabel),
    blocks: count(infos.reduce((total, info) => total + label(info, names.blocksLabel), 0)),
  };
}

/** A label such as `None` says nothing. */
function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}

/** vLLM leaves old series standing; the value is when each was written. The newest of each engine counts. */
function adapters(infos: readonly Sample[]): Pick<EngineLoad, "activeAdapters" | "waitingAdapters" | "maxAdapters"> {
  const newest = new Map<string, Sample>();
  for (const info of infos) {
    const engine = info.labels.get("engine") ?? "";
    const before = newest.get(engine);
    if (before === undefined || info.value >= before.value) newest.set(engine, info);
  }
  const current = [...newest.values()];
  const names = (label: string) => adapterNames(current.map(({ labels }) => labels.get(label) ?? ""));
  return {
    activeAdapters: names("running_lora_adapters"),
    waitingAdapters: names("waiting_lora_adapters"),
    maxAdapters: current.reduce((total, { labels }) => total + wholeNumber(labels.get("max_lora")), 0),
  };
}

function adapterNames(lists: readonly string[]): readonly string[] {
  const names = lists.flatMap((list) => list.split(",").map((name) => name.trim()));
  const fit = names.filter((name) => name !== "" && Buffer.byteLength(name) <= MAX_ADAPTER_BYTES);
  return [...new Set(fit)].slice(0, MAX_ADAPTERS);
}
