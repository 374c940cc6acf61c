import { describe, expect, it } from "vitest";
import { type EngineLoad, engineLoad } from "./engine-load.ts";
import { ExpositionError } from "./exposition.ts";
import { MAX_ADAPTERS } from "./limits.ts";

/** Texts in the form in which the two servers print them: the metrics that matter among those that do not. */

const VLLM = `# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 10207.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 7.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 3.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.43751234
# HELP vllm:lora_requests_info Running stats on lora requests.
# TYPE vllm:lora_requests_info gauge
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old-lora",waiting_lora_adapters=""} 1.7632440014e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql-lora,chat-lora",waiting_lora_adapters="law-lora"} 1.7632448914e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="older-lora",waiting_lora_adapters="x"} 1.7632430014e+09
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",calculate_kv_scales="False",enable_prefix_caching="True",engine="0",gpu_memory_utilization="0.9",num_cpu_blocks="None",num_gpu_blocks="27648",num_gpu_blocks_override="None",sliding_window="None"} 1.0
# HELP vllm:e2e_request_latency_seconds Histogram of e2e request latency in seconds.
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="meta-llama/Llama-3.1-8B-Instruct"} 12.0
`;
const VLLM_LOAD: EngineLoad = {
  waiting: 3,
  running: 7,
  kvPermille: 438,
  blocks: 27_648,
  blockTokens: 16,
  activeAdapters: ["sql-lora", "chat-lora"],
  waitingAdapters: ["law-lora"],
  maxAdapters: 4,
};

const SGLANG = `# HELP sglang:num_running_reqs The number of running requests.
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="Qwen/Qwen3-8B",pp_rank="0",priority="",tp_rank="0"} 5.0
sglang:num_running_reqs{engine_type="unified",model_name="Qwen/Qwen3-8B",pp_rank="0",priority="1",tp_rank="0"} 4.0
sglang:num_running_reqs{engine_type="unified",model_name="Qwen/Qwen3-8B",pp_rank="0",priority="",tp_rank="1"} 5.0
# HELP sglang:num_queue_reqs The number of requests in the waiting queue.
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{engine_type="unified",model_name="Qwen/Qwen3-8B",pp_rank="0",tp_rank="0"} 2826.0
# HELP sglang:token_usage The token usage.
# TYPE sglang:token_usage gauge
sglang:token_usage{engine_type="unified",model_name="Qwen/Qwen3-8B",pp_rank="0",tp_rank="0"} 0.28
sglang:gen_throughput{model_name="Qwen/Qwen3-8B"} NaN
`;

describe("vLLM", () => {
  it("as it prints", () => {
    expect(engineLoad(VLLM)).toEqual(VLLM_LOAD);
  });

  it("older: the old name of the cache's usage, lines that end in CRLF", () => {
    const text = VLLM.replaceAll("kv_cache_usage_perc", "gpu_cache_usage_perc").replaceAll("\n", "\r\n");
    expect(engineLoad(text)).toEqual(VLLM_LOAD);
  });

  it("both names: the new one counts", () => {
    expect(engineLoad(`${VLLM}vllm:gpu_cache_usage_perc 0.9\n`)).toEqual(VLLM_LOAD);
  });

  it("several engines behind one address: queues are added, usage is the mean, each has its newest adapters", () => {
    const second = `
vllm:num_requests_running{engine="1"} 1
vllm:num_requests_waiting{engine="1"} 2
vllm:kv_cache_usage_perc{engine="1"} 0.1
vllm:cache_config_info{block_size="16",num_gpu_blocks="100",engine="1"} 1.0
vllm:lora_requests_info{engine="1",max_lora="2",running_lora_adapters="sql-lora,tax-lora",waiting_lora_adapters=""} 1
`;
    expect(engineLoad(VLLM + second)).toEqual({
      ...VLLM_LOAD,
      waiting: 5,
      running: 8,
      kvPermille: 269,
      blocks: 27_748,
      activeAdapters: ["sql-lora", "chat-lora", "tax-lora"],
      maxAdapters: 6,
    });
  });

  it("what is not said is 0 or nothing", () => {
    const text =
      'vllm:num_requests_running 1\nvllm:num_requests_waiting 0\nvllm:cache_config_info{num_gpu_blocks="None"} 1\n';
    expect(engineLoad(text)).toEqual({
      waiting: 0,
      running: 1,
      kvPermille: 0,
      blocks: 0,
      blockTokens: 0,
      activeAdapters: [],
      waitingAdapters: [],
      maxAdapters: 0,
    });
  });

  it("adapters are bounded in number and length", () => {
    const names = Array.from({ length: 2 * MAX_ADAPTERS }, (_, i) => `a${i}`);
    const info = (list: string) => `vllm:lora_requests_info{running_lora_adapters="${list}"} 2e9\n`;
    expect(engineLoad(VLLM + info(names.join(", "))).activeAdapters).toEqual(names.slice(0, MAX_ADAPTERS));
    expect(engineLoad(VLLM + info(`${"x".repeat(129)},,ok,ok`)).activeAdapters).toEqual(["ok"]);
  });
});

describe("SGLang", () => {
  it("as it prints: the first rank of each, all priorities together", () => {
    expect(engineLoad(SGLANG)).toMatchObject({ waiting: 2826, running: 5, kvPermille: 280, blocks: 0, blockTokens: 0 });
  });

  it("the size of its cache, as labels or as gauges", () => {
    const labels = 'sglang:cache_config_info{num_pages="59902",page_size="1"} 1.0\n';
    const gauges = 'sglang:page_size{tp_rank="0"} 16.0\nsglang:num_pages{tp_rank="0"} 62500.0\n';
    expect(engineLoad(SGLANG + labels)).toMatchObject({ blocks: 59_902, blockTokens: 1 });
    expect(engineLoad(SGLANG + gauges)).toMatchObject({ blocks: 62_500, blockTokens: 16 });
  });
});

describe("refused", () => {
  it.each([
    ["nothing", ""],
    ["a page", "<html>not found</html>"],
    ["another server", "up 1\n"],
    ["half an engine", "vllm:num_requests_running 1\n"],
    ["a queue of less than nothing", VLLM.replace("} 3.0", "} -3.0")],
    ["a usage that is no number", VLLM.replace("0.43751234", "NaN")],
    ["a cut line", VLLM.slice(0, VLLM.indexOf("} 0.4375"))],
  ])("%s", (_what, text) => {
    expect(() => engineLoad(text)).toThrow(ExpositionError);
  });

  it("not a value beyond all bounds: it is cut", () => {
    const text = "vllm:num_requests_running 1e300\nvllm:num_requests_waiting 0.4\nvllm:kv_cache_usage_perc 7\n";
    expect(engineLoad(text)).toMatchObject({ running: 0xffff_ffff, waiting: 0, kvPermille: 1_000 });
  });
});
