/** Prompts of different kinds, put together at random from sentences and pieces of code that were written for this. */
import { seededRandom } from "../host/clock.ts";

export type Kind = "English" | "Chinese" | "code" | "mixed";

type Random = () => number;

const pick = (random: Random, list: readonly string[]): string => list[Math.floor(random() * list.length)] ?? "";

/** `{name}` is replaced by one of the words of that name. */
function filled(random: Random, sentence: string, words: Readonly<Record<string, readonly string[]>>): string {
  return sentence.replace(/\{(\w+)\}/g, (_, name: string) => pick(random, words[name] ?? []));
}

const ENGLISH_WORDS = {
  who: [
    "our billing team",
    "the night shift",
    "a new customer",
    "my manager",
    "the warehouse in Leeds",
    "the auditor",
    "nobody on call",
  ],
  thing: [
    "the quarterly report",
    "an invoice from March",
    "the migration plan",
    "the heating controller",
    "a photograph of the bridge",
    "the staging cluster",
    "the lease agreement",
  ],
  does: [
    "has misplaced",
    "wants to rewrite",
    "is worried about",
    "cannot open",
    "forgot to sign",
    "keeps asking for",
    "would rather postpone",
  ],
  when: [
    "before Thursday",
    "while the office is closed",
    "as soon as the parts arrive",
    "in roughly six weeks",
    "after the second reminder",
    "at 4:30 in the morning",
  ],
  how: [
    "politely but firmly",
    "in no more than 120 words",
    "as a numbered list",
    "for a reader who has never seen it",
    "without mentioning the price",
    "in the tone of a friendly colleague",
  ],
};
const ENGLISH = [
  "{who} {does} {thing}, and I need to know what to do {when}.",
  "Please explain {how} why {who} {does} {thing}.",
  "Last year this happened twice: {who} lost {thing} {when}, and it took months to put right.",
  "Summarise the following notes {how}.",
  "If {who} asks again, say that {thing} will be dealt with {when}.",
  "There are three open questions: who pays, who carries the risk, and whether {who} still {does} {thing}.",
  "The temperature rose by 2.5 degrees overnight, which is unusual for November.",
  "Write a short story in which {who} finds {thing} under the floorboards.",
  "I don't think that's fair; we've already apologised, haven't we?",
  "Compare both offers {how}, then recommend the one that can be delivered {when}.",
];

const CHINESE_WORDS = {
  who: ["财务部门", "值夜班的同事", "一位新客户", "我的经理", "上海的仓库", "审计人员", "负责运维的小组"],
  thing: ["季度报告", "三月份的发票", "数据迁移方案", "供暖控制器", "大桥的照片", "测试集群", "租赁合同"],
  does: ["弄丢了", "想要重写", "很担心", "打不开", "忘记签署", "一直在催要", "希望推迟处理"],
  when: ["在星期四之前", "办公室关门以后", "等零件到货的时候", "大约六个星期之内", "第二次提醒之后", "凌晨四点半"],
  how: [
    "礼貌而坚定地",
    "用不超过一百二十个字",
    "以编号列表的形式",
    "面向完全没有经验的读者",
    "不要提到价格",
    "用同事之间轻松的语气",
  ],
};
const CHINESE = [
  "{who}{does}{thing}，我想知道{when}应该怎么办。",
  "请{how}解释一下，为什么{who}{does}{thing}。",
  "去年这种情况发生过两次：{who}{when}{does}{thing}，花了好几个月才恢复正常。",
  "请{how}总结下面的会议记录。",
  "如果{who}再来询问，就说{thing}会{when}处理完毕。",
  "目前还有三个问题没有答案：谁来付款，谁承担风险，以及{who}是否仍然{does}{thing}。",
  "昨天夜里气温上升了两度半，这在十一月份并不常见。",
  "写一个短篇故事，讲{who}在地板下面发现了{thing}。",
  "我觉得这样不太公平，我们不是已经道过歉了吗？",
  "请{how}比较这两份报价，然后推荐能够{when}交货的那一份。",
];

const CODE_WORDS = {
  name: [
    "orderTotal",
    "parse_header",
    "RetryBudget",
    "shardIndex",
    "flushQueue",
    "user_id",
    "maxLatencyMs",
    "renderRow",
  ],
  type: ["number", "string[]", "Map<string, Order>", "Uint8Array", "boolean", "Promise<void>"],
  table: ["orders", "shipments", "audit_log", "customer_addresses"],
  number: ["0", "42", "1_000", "0x7fff", "3.75", "86400"],
};
const CODE = [
  "export function {name}({name}: {type}, limit = {number}): {type} {\n  if ({name}.length === 0) return {number};\n  return {name}.slice(0, limit);\n}\n",
  'def {name}(self, {name}: int = {number}) -> None:\n    for index, row in enumerate(self.{name}):\n        if row["{name}"] > {number}:\n            self.{name}.append((index, row))\n',
  "SELECT o.{name}, COUNT(*) AS total\nFROM {table} AS o\nLEFT JOIN {table} AS s ON s.{name} = o.id\nWHERE o.created_at >= NOW() - INTERVAL '{number} days'\nGROUP BY o.{name}\nHAVING COUNT(*) > {number};\n",
  "    const {name} = new Map<string, {type}>();\n    while (!this.#{name}.done && {name}.size < {number}) {\n      {name}.set(key + index++, await this.{name}());\n    }\n",
  'func (s *Server) {name}(ctx context.Context, n int) error {\n\tif n > {number} {\n\t\treturn fmt.Errorf("{name}: %d is above %d", n, {number})\n\t}\n\treturn s.store.Put(ctx, {number}, n)\n}\n',
  '{\n  "{name}": {"enabled": true, "timeout_ms": {number}, "tags": ["{table}", "{name}"]},\n  "{table}": [{number}, {number}, null]\n}\n',
  "#include <vector>\nstatic inline uint32_t {name}(const std::vector<uint8_t>& bytes, size_t at) {\n  return (bytes[at] << 8) | bytes[at + 1];  // {name}\n}\n",
  '  test("{name} of an empty list", () => {\n    expect({name}([])).toEqual({ {name}: {number} });\n  });\n',
];

function sentence(random: Random, kind: Kind): string {
  if (kind === "English") return `${filled(random, pick(random, ENGLISH), ENGLISH_WORDS)} `;
  if (kind === "Chinese") return filled(random, pick(random, CHINESE), CHINESE_WORDS);
  if (kind === "code") return `${filled(random, pick(random, CODE), CODE_WORDS)}\n`;
  return sentence(random, pick(random, ["English", "Chinese", "code"]) as Kind);
}

/** As many prompts as asked for, of 1 to 40 pieces, short ones as often as long ones; the same for the same seed. */
export function prompts(kind: Kind, count: number, seed: number): string[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const pieces = Math.round(40 ** random());
    return Array.from({ length: pieces }, () => sentence(random, kind))
      .join("")
      .trim();
  });
}
