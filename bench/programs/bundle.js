// Node row: text is tokenised, compressed, hashed, decoded and parsed; buffers come and go outside V8's own heap.
const zlib = require('zlib');
const crypto = require('crypto');

let state = 99;
function chance(bound) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 16) % bound;
}

let total = 0;
for (let pass = 0; pass < 40; pass++) {
    const modules = Array.from({length: 300}, (_, id) => ({
        id, name: `module-${pass}-${id}`, text: Array.from({length: 40}, () => 'token' + chance(5000)).join(' '),
    }));
    const packed = modules.map(module => zlib.deflateSync(Buffer.from(JSON.stringify(module)), {level: 1}));
    for (const bytes of packed) {
        const module = JSON.parse(zlib.inflateSync(bytes).toString());
        total += crypto.createHash('sha256').update(module.text).digest()[0] + module.text.split(' ').length;
    }
    const run = new Function('a', modules.map(module => `a = (a * 31 + ${module.id}) | 0; // ${module.name}`).join('\n') + '\nreturn a;');
    total += run(pass) & 0xff;
}
console.log(total);
