"""builds.py: programs that make files from files: compilers, git, archivers, OpenSSL, and the tools for documents and
pictures. Every function takes a Place and gives the bytes that must be the same on every manager."""

SMALL_TEXT = "The quick brown fox jumps over the lazy dog, again and again, until it is tired.\n"


def c_source(number):
    """A C file with some dozens of functions for a compiler to optimise."""
    functions = "".join(
        f"static long f{i}(long n, const char *s) {{ long r = {i}; for (long j = 0; j < n; j++) "
        f"{{ r = r * 31 + s[j % 7] + ((r >> {i % 13}) ^ j); if (r % {i + 3} == 0) r += strlen(s); }} return r; }}\n"
        for i in range(60))
    calls = " + ".join(f"f{i}(n + {i}, s)" for i in range(60))
    return f"#include <string.h>\n#include <stdio.h>\n{functions}long part{number}(long n, const char *s) {{ return {calls}; }}\n"


CPP_SOURCE = """#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <variant>
#include <vector>
template <int N> struct nest { nest<N - 1> inner; std::map<std::string, std::vector<int>> table; };
template <> struct nest<0> {};
int main() {
    auto deep = std::make_unique<nest<40>>();
    std::regex words("([a-z]+)-([0-9]+)");
    std::map<std::string, std::variant<int, std::string>> found;
    for (int i = 0; i < 2000; i++) {
        std::smatch match;
        std::string text = "word-" + std::to_string(i * 7919 % 1009);
        if (std::regex_match(text, match, words)) found[match[2]] = i % 2 ? std::variant<int, std::string>(i) : text;
    }
    std::vector<std::function<int(int)>> steps;
    for (int i = 0; i < 50; i++) steps.push_back([i](int n) { return n * 3 % (i + 11); });
    int n = 1;
    for (auto &step : steps) n += step(n);
    std::cout << found.size() << ' ' << n << ' ' << sizeof *deep << std::endl;
}
"""


def compile_project(place, cc, cxx):
    """Eight C files and a C++ one, built two at a time by make, linked and run."""
    for number in range(8):
        place.write(f"part{number}.c", c_source(number))
    place.write("main.cc", CPP_SOURCE)
    objects = " ".join(f"part{number}.o" for number in range(8))
    sums = " + ".join(f"part{number}(50, \"seven!!\")" for number in range(8))
    declarations = "".join(f"long part{number}(long, const char *); " for number in range(8))
    place.write("sum.c", f"#include <stdio.h>\n{declarations}\nint main(void) {{ printf(\"%ld\\n\", {sums}); }}\n")
    place.write("Makefile", f"all: sum words\nsum: sum.o {objects}\n\t{cc} -o $@ $^\nwords: main.cc\n\t{cxx} -O1 -std=c++17 -o $@ $<\n"
                            f"%.o: %.c\n\t{cc} -O2 -g0 -c -o $@ $<\n")
    place.run("make", "-s", "-j2")
    return place.run("./sum") + place.run("./words") + place.hash(*objects.split())


def gcc(place):
    return compile_project(place, "gcc", "g++")


def clang(place):
    return compile_project(place, "clang", "clang++")


GIT_VARIABLES = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.org", "GIT_COMMITTER_DATE": "1700000000 +0000",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git_history():
    """What `git fast-import` takes: 400 commits that change some of 60 files."""
    parts = []
    for commit in range(1, 401):
        message = f"change {commit}\n"
        parts.append(f"commit refs/heads/main\ncommitter C <c@example.org> {1700000000 + commit} +0000\n"
                     f"data {len(message)}\n{message}")
        for file in range(commit % 7 + 1):
            number = (commit * 31 + file * 17) % 60
            text = "".join(f"line {line * commit % 997} of file {number}\n" for line in range(100 + number))
            parts.append(f"M 100644 inline directory{number % 5}/file{number}.txt\ndata {len(text)}\n{text}\n")
    return "".join(parts) + "done\n"


def git(place):
    def run(*arguments, text=None):
        return place.run("git", *arguments, text=text, variables=GIT_VARIABLES)
    run("init", "-q", "-b", "main", "origin")
    run("-C", "origin", "fast-import", "--quiet", "--done", text=git_history())
    run("clone", "-q", "--no-local", "origin", "copy")
    run("-C", "copy", "gc", "-q", "--aggressive")
    run("-C", "copy", "fsck", "--full", "--strict", "--no-progress")
    return (run("-C", "copy", "log", "--stat", "--format=%H %s") + run("-C", "copy", "blame", "directory1/file1.txt")
            + run("-C", "copy", "diff", "HEAD~50", "HEAD") + run("-C", "copy", "rev-parse", "HEAD^{tree}"))


def archives(place):
    """xz and zstd with several threads, through tar and back."""
    for number in range(30):
        place.write(f"tree/{number % 4}/file{number}",
                    "".join(f"{i * number % 1013} {SMALL_TEXT}" for i in range(5000)))
    fixed = ("--sort=name", "--mtime=@1700000000", "--owner=0", "--group=0", "--numeric-owner")
    place.run("tar", *fixed, "-cf", "all.tar", "tree")
    place.run("xz", "-T2", "-3", "--block-size=4MiB", "-k", "all.tar")
    place.run("zstd", "-q", "-T2", "-10", "-k", "all.tar", "-o", "all.tar.zst")
    place.run("mkdir", "xz", "zst")
    place.run("tar", "-C", "xz", "-xJf", "all.tar.xz")
    place.run("tar", "-C", "zst", "--zstd", "-xf", "all.tar.zst")
    place.run("diff", "-r", "tree", "xz/tree")
    place.run("diff", "-r", "tree", "zst/tree")
    return place.hash("all.tar", "all.tar.xz", "all.tar.zst")


def sort(place):
    place.write("lines", "".join(f"{i * 7919 % 1000003} {SMALL_TEXT}" for i in range(200000)))
    place.run("sort", "--parallel=4", "-S", "8M", "-o", "sorted", "lines")
    place.run("sort", "--parallel=4", "-n", "-o", "numbers", "lines")
    return place.hash("sorted", "numbers")


def openssl(place):
    place.write("plain", SMALL_TEXT * 60000)
    place.run("openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-S", "0102030405060708", "-k", "word", "-in", "plain",
              "-out", "secret")
    place.run("openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2", "-S", "0102030405060708", "-k", "word", "-in",
              "secret", "-out", "again")
    place.run("openssl", "genrsa", "-out", "key.pem", "2048")
    place.run("openssl", "req", "-x509", "-new", "-key", "key.pem", "-subj", "/CN=localhost", "-out", "cert.pem")
    place.run("openssl", "dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "plain")
    place.run("openssl", "x509", "-in", "cert.pem", "-pubkey", "-noout", "-out", "unused")
    public = place.run("openssl", "rsa", "-in", "key.pem", "-pubout")
    place.write("public.pem", public)
    checked = place.run("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "plain")
    certificates = place.run("openssl", "crl2pkcs7", "-nocrl", "-certfile", "/etc/ssl/certs/ca-certificates.crt")
    return checked + place.hash("secret", "again") + certificates


def ghostscript(place):
    place.run("gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=ppmraw", "-r60", "-sOutputFile=page%d.ppm",
              place.input("work.ps"))
    place.run("gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pdfwrite", "-sOutputFile=work.pdf", "work.ps")
    text = place.run("gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=txtwrite", "-sOutputFile=-", "work.pdf")
    return text + place.hash("page1.ppm", "page2.ppm", "page3.ppm")


def imagemagick(place):
    place.run("/usr/bin/convert", "-size", "700x500", "plasma:red-blue", "-seed", "1", "gradient:navy-gold", "-append",
              "-seed", "1", "start.ppm", variables={"MAGICK_THREAD_LIMIT": "2"})
    place.run("/usr/bin/convert", "-size", "900x700", "gradient:navy-gold", "-swirl", "90", "-blur", "0x3", "-resize",
              "60%", "-colors", "64", "swirl.ppm", variables={"MAGICK_THREAD_LIMIT": "2"})
    place.run("/usr/bin/convert", "swirl.ppm", "-rotate", "33", "-sharpen", "0x2", "-depth", "8", "end.png",
              variables={"MAGICK_THREAD_LIMIT": "2"})
    return place.hash("swirl.ppm") + place.run("/usr/bin/convert", "end.png", "-depth", "8", "rgb:-")


def html_document():
    rows = "".join(f"<tr><td>{i}</td><td>{i * 7919 % 1009}</td><td>{SMALL_TEXT}</td></tr>" for i in range(150))
    chapters = "".join(f"<h1>Chapter {i}</h1>" + f"<p>{SMALL_TEXT * 20}</p><ul>"
                       + "".join(f"<li>point {i}.{j}</li>" for j in range(10)) + "</ul>" for i in range(15))
    return f"<html><head><title>Work</title></head><body>{chapters}<table border=1>{rows}</table></body></html>"


def libreoffice(place):
    """HTML to ODT to PDF; the text of the PDF is compared, since the file holds its time of making."""
    place.write("work.html", html_document())
    office = ("soffice", f"-env:UserInstallation=file://{place.path('profile')}", "--headless", "--convert-to")
    place.run(*office, "odt:writer8", "--infilter=HTML (StarWriter)", "work.html")
    place.run(*office, "pdf:writer_pdf_Export", "work.odt")
    return place.run("pdftotext", "-layout", "work.pdf", "-")
