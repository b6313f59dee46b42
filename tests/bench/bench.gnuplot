# CPU time of each work in multiples of libcurl's, from build/bench/bars.tsv.
set terminal svg size 900,420 font "sans-serif,12" background "white"
set output "build/bench/bench.svg"
set datafile separator tab
set datafile missing "?"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set logscale y
set yrange [0.02:*]
set grid ytics
set ylabel "CPU time, libcurl + cJSON = 1"
set key top right horizontal
set xtics nomirror
plot "build/bench/bars.tsv" using 2:xtic(1) title "limit (raw BearSSL)" linecolor rgb "#9e9e9e", \
    "" using 3 title "hathora\\_tokens.h" linecolor rgb "#1565c0", \
    "" using 4 title "libcurl + cJSON" linecolor rgb "#ef6c00", \
    "" using 5 title "official SDK" linecolor rgb "#2e7d32"
