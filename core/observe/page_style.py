"""Look of the report page (floor 5): one style sheet, inside the page, light and dark."""

STYLE = """
:root{--bg:#f4f5f7;--panel:#fff;--ink:#1a2233;--soft:#6b7487;--grid:#e6e9ef;--edge:#e2e6ee;
--line:#2f6fed;--up:#12a071;--down:#e0494f}
@media (prefers-color-scheme:dark){:root{--bg:#0f141d;--panel:#171e2a;--ink:#e8ecf4;--soft:#8b96ab;
--grid:#242d3c;--edge:#232c3b;--line:#5b93ff;--up:#2ec48f;--down:#ff6b70}}
*{box-sizing:border-box;margin:0}
body{background:var(--bg);color:var(--ink);line-height:1.45;
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1180px;margin:0 auto;padding:36px 22px 48px}
header{margin-bottom:22px}
.kicker{text-transform:uppercase;letter-spacing:.09em;font-size:12px;color:var(--soft)}
h1{font-size:30px;font-weight:680;letter-spacing:-.02em;margin:2px 0}
.period,.sub,small{color:var(--soft)}
.note{border-left:3px solid var(--down);background:var(--panel);padding:10px 14px;margin:0 0 14px;
border-radius:0 8px 8px 0}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin-bottom:14px}
.card,.panel{background:var(--panel);border:1px solid var(--edge);border-radius:14px}
.card{padding:16px 18px}
.card p{font-size:13px;color:var(--soft)}
.card strong{display:block;font-size:24px;font-weight:660;letter-spacing:-.015em;margin:2px 0;
font-variant-numeric:tabular-nums}
.card small{font-size:12.5px}
.panels{display:grid;grid-template-columns:1fr 1fr;gap:14px}
.panel{padding:18px 18px 10px;margin-bottom:0}
.panel.wide{grid-column:1/-1}
section.panel{margin-top:14px;padding-bottom:18px}
section.quiet{text-align:center;color:var(--soft);padding:56px 18px}
h2{font-size:15px;font-weight:640;margin-bottom:10px}
h2 span{font-weight:400;color:var(--soft);margin-left:9px;font-size:13px}
svg{display:block;width:100%;height:auto;overflow:visible}
.grid{stroke:var(--grid);stroke-width:1}
.zero{stroke:var(--soft);stroke-width:1;opacity:.5}
.tick{fill:var(--soft);font-size:12px;text-anchor:end;font-variant-numeric:tabular-nums}
.tick.mid{text-anchor:middle}
.name{fill:var(--ink);font-size:13px;text-anchor:end}
.value{fill:var(--soft);font-size:12.5px;font-variant-numeric:tabular-nums}
.stroke{fill:none;stroke-width:2;stroke-linejoin:round}
.stroke.line{stroke:var(--line)}.stroke.down{stroke:var(--down)}
.area{stroke:none;opacity:.13}
.area.line{fill:var(--line)}.area.down{fill:var(--down)}
.bar.up{fill:var(--up)}.bar.down{fill:var(--down)}
.up{color:var(--up)}.down{color:var(--down)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--soft);text-align:left}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--grid);white-space:nowrap}
tbody tr:last-child td{border-bottom:0}
footer{margin-top:20px;color:var(--soft);font-size:12.5px;overflow-wrap:anywhere}
code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px}
@media (max-width:820px){.cards{grid-template-columns:1fr 1fr}.panels{grid-template-columns:1fr}}
@media print{body{background:#fff}.card,.panel{break-inside:avoid}}
"""
