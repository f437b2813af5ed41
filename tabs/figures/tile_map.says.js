// What the tile map may hold, and what it says of it; needs numbers.js and tile_map.js.
const TileSays = (() => {
  const whole = (min, max) => Numbers.number(min, max, { integer: true });
  const block = Numbers.number(16, 256, { integer: true, among: [16, 32, 64, 128, 256] }); // what tl.arange takes
  const rules = { seqlen: whole(1, 512), block_m: block, block_n: block, head_dim: Numbers.oneOf(64, 128, 256), stages: whole(1, 6), causal: Numbers.flag, guard: Numbers.flag };
  const count = (state) => {
    const all = TileMap.tiles(state).flat(), of = (kind) => all.filter((k) => k === kind).length;
    return { full: of("full"), diagonal: of("diagonal"), skipped: of("skipped"), all: all.length, padded: TileMap.paddedShare(state), lost: TileMap.nanRows(state).length };
  };
  const percent = (share) => (share > 0 && share < 0.005 ? "less than 1%" : `${(100 * share).toFixed(0)}%`);
  const says = (state) => {
    const c = count(state), tiles = c.all === 1 ? "tile" : "tiles";
    return [
      `${c.full} full, ${c.diagonal} on the diagonal, ${c.skipped} skipped of ${c.all} ${tiles}; ${percent(c.padded)} of all cells are padding.`,
      ...(c.lost ? [`${c.lost} of ${state.seqlen} rows are NaN.`, "Each of them met a tile without a visible key and subtracted −inf from −inf."] : []),
    ];
  };
  return { rules, count, says };
})();
