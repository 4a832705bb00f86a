# cython: language_level=3
# What every module of the application may cimport: one line to the log, one line to the error log.
cpdef log(str message)
cpdef logerror(str message)
