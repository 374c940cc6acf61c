/** The names under which the APIs report token counts, and what each of them means. */
import { sameText } from "./json-capture";

/** What a member of a usage object counts. */
export const enum UsageCount {
  None,
  Input,
  Output,
  Total,
  Cached,
  CacheWrite,
  Reasoning,
  /** Gemini: tokens of tool results, which are not in the prompt's. */
  ToolInput,
}

/**
 * Meaning of the key of `length` bytes at `key`. `nested`: it stands in an object inside the usage object, like `prompt_tokens_details`; there only counts that are part of
 * another one are looked for.
 */
export function usageCount(key: usize, length: i32, nested: bool): UsageCount {
  switch (length) {
    case 12:
      if (is("input_tokens", key)) return outer(UsageCount.Input, nested);
      if (is("total_tokens", key)) return outer(UsageCount.Total, nested);
      break;
    case 13:
      if (is("prompt_tokens", key)) return outer(UsageCount.Input, nested);
      if (is("output_tokens", key)) return outer(UsageCount.Output, nested);
      if (is("cached_tokens", key)) return UsageCount.Cached;
      break;
    case 15:
      if (is("thinking_tokens", key)) return UsageCount.Reasoning;
      break;
    case 16:
      if (is("reasoning_tokens", key)) return UsageCount.Reasoning;
      if (is("promptTokenCount", key)) return outer(UsageCount.Input, nested);
      break;
    case 17:
      if (is("completion_tokens", key)) return outer(UsageCount.Output, nested);
      break;
    case 18:
      if (is("thoughtsTokenCount", key)) return outer(UsageCount.Reasoning, nested);
      if (is("prompt_token_count", key)) return outer(UsageCount.Input, nested);
      if (is("cache_write_tokens", key)) return UsageCount.CacheWrite;
      break;
    case 20:
      if (is("candidatesTokenCount", key)) return outer(UsageCount.Output, nested);
      if (is("thoughts_token_count", key)) return outer(UsageCount.Reasoning, nested);
      break;
    case 22:
      if (is("candidates_token_count", key)) return outer(UsageCount.Output, nested);
      break;
    case 23:
      if (is("cachedContentTokenCount", key)) return outer(UsageCount.Cached, nested);
      if (is("cache_read_input_tokens", key)) return outer(UsageCount.Cached, nested);
      if (is("prompt_cache_hit_tokens", key)) return outer(UsageCount.Cached, nested);
      if (is("toolUsePromptTokenCount", key)) return outer(UsageCount.ToolInput, nested);
      break;
    case 26:
      if (is("cached_content_token_count", key)) return outer(UsageCount.Cached, nested);
      break;
    case 27:
      if (is("cache_creation_input_tokens", key)) return outer(UsageCount.CacheWrite, nested);
      if (is("tool_use_prompt_token_count", key)) return outer(UsageCount.ToolInput, nested);
  }
  return UsageCount.None;
}

@inline
function is(name: string, key: usize): bool {
  return sameText(name, key);
}

@inline
function outer(count: UsageCount, nested: bool): UsageCount {
  return nested ? UsageCount.None : count;
}
