// Maps, strings, buffers, compression, and workers with heaps of their own.
const crypto = require('crypto');
const zlib = require('zlib');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

let state = 11;
const draw = (n) => ((state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) >> 8) % n;
const hash = (data) => crypto.createHash('sha256').update(data).digest('hex');

function countWords(rounds) {
    const counts = new Map();
    for (let i = 0; i < rounds; i++) {
        let word = '';
        for (let j = draw(8); j >= 0; j--) word += String.fromCharCode(97 + draw(6));
        counts.set(word, (counts.get(word) || 0) + 1);
    }
    return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

if (!isMainThread) {
    state = workerData;
    parentPort.postMessage(hash(JSON.stringify(countWords(40000))));
} else {
    const words = countWords(200000);
    console.log(words.length, words.slice(0, 4));
    const text = JSON.stringify(words);
    console.log(text.length, hash(text), JSON.parse(text).length);
    const buffers = [];
    for (let i = 0; i < 3000; i++) {
        buffers.push(Buffer.alloc(1 + ((i * 7919) % 50000), i % 251));
        if (buffers.length > 200) buffers.splice(draw(200), 1);
    }
    const all = Buffer.concat(buffers);
    const packed = zlib.gzipSync(all, { level: 6 });
    console.log(all.length, hash(all), zlib.gunzipSync(packed).equals(all));
    const brotli = zlib.brotliCompressSync(Buffer.from(text), { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } });
    console.log(zlib.brotliDecompressSync(brotli).toString() === text);
    const results = [];
    for (let i = 1; i <= 3; i++) {
        new Worker(__filename, { workerData: i }).on('message', (message) => {
            results.push(message);
            if (results.length === 3) console.log(results.sort());
        });
    }
}
