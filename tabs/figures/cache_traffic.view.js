// Decoding reads the whole cache for every token: its bytes in three formats, and the time that takes at a given bandwidth.
const { h } = Tree;
const { rules, rows, time } = CacheSays;
const megabytes = (bytes) => `${Numbers.brief(bytes / 1e6)} MB`;

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const all = rows(state), width = api.width, left = 64, right = width < 420 ? 84 : 190, room = width - left - right, most = all[0].us;
    return [
      api.slider("kv_len", { label: "Cached tokens", log: true, digits: 0, step: 1, chars: 8, least: 128 }),
      h("div", { class: "fig-row" }, api.field("batch", { label: "Sequences", log: true, digits: 0, step: 1, chars: 5 }), api.field("num_heads_kv", { label: "KV heads", log: true, digits: 0, step: 1, chars: 4 }),
        api.field("bandwidth_gb_s", { label: props.roof, step: 50, digits: 0, chars: 6, unit: "GB/s" }), api.choice("head_dim", "d", [[64, "64"], [128, "128"], [256, "256"]])),
      h("svg", { viewBox: `0 0 ${width} 120`, role: "img", "aria-label": all.map((r) => `${r.name}: ${time(r.us)}`).join(", ") },
        all.map((r, i) => [
          h("text", { class: "tinted key", x: 0, y: i * 40 + 24 }, r.name),
          h("rect", { class: "key mark", x: left, y: i * 40 + 8, width: Math.max(1, (room * r.us) / most), height: 24, rx: 2, "data-why": `2 × ${state.batch} × ${state.num_heads_kv} × ${state.kv_len} × ${state.head_dim} values × ${MemoryTraffic.CACHE_BITS[r.cache]} bits = ${Numbers.bytes(r.bytes)}; / ${state.bandwidth_gb_s} GB/s` }),
          h("text", { x: left + (room * r.us) / most + 8, y: i * 40 + 25 }, width < 420 ? time(r.us) : `${time(r.us)} · ${megabytes(r.bytes)}`),
        ])),
      h("p", { class: "fig-say" }, CacheSays.says(state).join(" ")),
    ];
  },
  twin: (state) => ({ caption: "Bytes and time for one token of one layer", head: ["", "bytes", "time"], rows: rows(state).map((r) => [r.name, megabytes(r.bytes), time(r.us)]) }),
  say: (state) => rows(state).map((r) => `${r.name} ${time(r.us)}`).join(", "),
});
