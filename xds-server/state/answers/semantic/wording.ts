/**
 * What an embedding does not see: two questions that differ by a number, a "not" or the order of two names are as near to each other as two spellings of one question.
 * So besides being near, their words have to agree:
 *
 *   numbers, symbols, and words such as "not", "why" or "was" are the same, in the same order
 *   of other words one question may have some more than the other, but not each one that the other lacks: to "open" is not to "close", "adults" are no "children"
 *   the words that both have are in the same order: "from Berlin to London" is not "from London to Berlin"
 *
 * Words such as "the", "can" and "please" do not count. The lists are English: of another language every word counts, and its "not" is a word like any other.
 */

/** The words of a question as hashes of 32 bits, in their order. */
export interface Wording {
  /** Numbers, symbols, and the words of FIXED. */
  readonly fixed: Uint32Array;
  /** The others that count. */
  readonly content: Uint32Array;
}

const set = (words: string): ReadonlySet<string> => new Set(words.split(" "));

/** Words that may come and go. */
const PASSED_OVER = set(
  "a an the do does can could would may might is are be been i me my mine we us our you your it its this that these those there to of for and as so " +
    "how what which please have has want like tell give show explain let know need hi hello hey thanks thank just",
);

/** Words that make another question of one. */
const FIXED = set(
  "not no non never none nothing nobody nowhere neither nor without except unless only least most more less who when where why was were did had will or if before after",
);

const TOKEN = /\p{N}+|[\p{L}\p{M}]+(?:['’]\p{L}+)*|[+\-−](?=\p{N})|[#%&@*/\\]|[^\s\p{P}\p{L}\p{M}\p{N}]/gu;
const LETTER = /^[\p{L}\p{M}]/u;

/** O(text). */
export function wordingOf(text: string): Wording {
  const [fixed, content]: [number[], number[]] = [[], []];
  for (const [token] of text.normalize("NFKC").toLowerCase().matchAll(TOKEN)) {
    if (!LETTER.test(token)) fixed.push(hashOf(token));
    else {
      for (const word of parts(token)) {
        if (FIXED.has(word)) fixed.push(hashOf(word));
        else if (!PASSED_OVER.has(word)) content.push(hashOf(singular(word)));
      }
    }
  }
  return { fixed: Uint32Array.from(fixed), content: Uint32Array.from(content) };
}

/** Whether one answer may suit both. O(words). */
export function agree(one: Wording, other: Wording): boolean {
  if (!equal(one.fixed, other.fixed)) return false;
  const [inOne, inOther] = [new Set(one.content), new Set(other.content)];
  const shared = one.content.filter((word) => inOther.has(word));
  const sharedOfOther = other.content.filter((word) => inOne.has(word));
  if (shared.length < one.content.length && sharedOfOther.length < other.content.length) return false;
  return equal(shared, sharedOfOther);
}

/** What a contraction stands for. */
function parts(token: string): readonly string[] {
  if (token === "cannot") return ["can", "not"];
  if (token === "whom") return ["who"];
  const [word = "", ending] = token.split(/['’]/);
  return ending === "t" && word.endsWith("n") ? [word.slice(0, -1), "not"] : [word];
}

/** An English plural without its ending, nearly always. */
function singular(word: string): string {
  if (word.length < 4 || !/[a-z]s$/.test(word) || /(ss|us|is)$/.test(word)) return word;
  if (/(s|x|ch|sh)es$/.test(word)) return word.slice(0, -2);
  return word.endsWith("ies") ? `${word.slice(0, -3)}y` : word.slice(0, -1);
}

/** FNV-1a of 32 bits. */
function hashOf(word: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(word)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function equal(one: Uint32Array, other: Uint32Array): boolean {
  return one.length === other.length && one.every((word, index) => word === other[index]);
}
